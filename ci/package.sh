#!/usr/bin/env bash
# Proves that each crate can be packed, builds from its package alone, and carries its licences and,
# in the facade, the README. Nothing is published.
source "$(dirname "$0")/lib.bash"

# A target of its own, made anew: the version is the same each time, so cargo would take what it has
# unpacked and built for an earlier run.
scratch
export CARGO_TARGET_DIR=$scratch_dir/target

# Packages of a workspace that depend on each other are built against each other's packages.
cargo package --workspace --exclude sedge-compare --allow-dirty || fail "cargo package"
rm -rf "${CARGO_HOME:-$HOME/.cargo}"/registry/src/-*/sedge*-[0-9]*

for package in sedge sedge-runtime sedge-net sedge-fs; do
    cargo package --package "$package" --list --allow-dirty >"$scratch_dir/list"
    wanted=(LICENSE-MIT LICENSE-APACHE)
    [ "$package" != sedge ] || wanted+=(README.md)
    for file in "${wanted[@]}"; do
        grep -qx "$file" "$scratch_dir/list" || fail "the package $package has no $file"
    done
done
exit "$failures"
