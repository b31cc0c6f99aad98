#!/usr/bin/env bash
# Proves that the comparison with the event loops still compiles, without a warning. It measures
# nothing: numbers from a shared machine that runs gates would mean nothing.
source "$(dirname "$0")/lib.bash"

need_component clippy clippy
cargo clippy --manifest-path benches/compare/Cargo.toml --all-targets --all-features -- -D warnings
