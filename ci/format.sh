#!/usr/bin/env bash
# Proves that the code is formatted as `cargo fmt` formats it.
source "$(dirname "$0")/lib.bash"

need_component rustfmt fmt
cargo fmt --all --check
