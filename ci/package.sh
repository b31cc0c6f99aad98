#!/usr/bin/env bash
# Proves that each crate can be packed, builds from its package alone, and carries its licences and,
# in the facade, the README. Nothing is published.
source "$(dirname "$0")/lib.bash"

# What cargo has unpacked for an earlier run it takes again, as the version is the same.
rm -rf "${CARGO_HOME:-$HOME/.cargo}"/registry/src/-*/sedge*-[0-9]*

# Packages of a workspace that depend on each other are built against each other's packages.
cargo package --workspace --exclude sedge-compare --allow-dirty || fail "cargo package"

scratch
for package in sedge sedge-runtime sedge-net sedge-fs; do
    cargo package --package "$package" --list --allow-dirty >"$scratch_dir/list"
    wanted=(LICENSE-MIT LICENSE-APACHE)
    [ "$package" != sedge ] || wanted+=(README.md)
    for file in "${wanted[@]}"; do
        grep -qx "$file" "$scratch_dir/list" || fail "the package $package has no $file"
    done
done
exit "$failures"
