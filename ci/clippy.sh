#!/usr/bin/env bash
# Proves that every target of the default members compiles without a warning, clippy's included.
# The comparison, whose rivals take long to build, has a gate of its own: compare.sh.
source "$(dirname "$0")/lib.bash"

need_component clippy clippy
cargo clippy --all-targets -- -D warnings
