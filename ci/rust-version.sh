#!/usr/bin/env bash
# Proves that the libraries, and what they depend on, compile with the oldest Rust that `Cargo.toml`
# declares. Where that toolchain neither is nor can be had, clippy looks for what is too new in std,
# which is less: it knows nothing of the language, nor of dependencies.
source "$(dirname "$0")/lib.bash"

version=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
[ -n "$version" ] || {
    fail "Cargo.toml declares no rust-version"
    exit 1
}
libraries=(--lib --package sedge --package sedge-runtime --package sedge-net --package sedge-fs)
own_target rust-version

if cargo "+$version" --version >/dev/null 2>&1 ||
    timeout 300 rustup toolchain install "$version" --profile minimal --no-self-update; then
    step "Rust $version compiles the libraries"
    cargo "+$version" check --locked "${libraries[@]}" || fail "Rust $version"
else
    step "no Rust $version: clippy looks for what is newer in std"
    need_component clippy clippy
    cargo clippy --locked "${libraries[@]}" -- -D clippy::incompatible_msrv || fail "too new"
fi
exit "$failures"
