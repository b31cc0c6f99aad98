#!/usr/bin/env bash
# Proves that the documentation builds without a warning, first as users see it (no public page
# links to a private item), then with the private items, whose headers are the design's depth.
# The examples in the documentation run in test.sh.
source "$(dirname "$0")/lib.bash"

export RUSTDOCFLAGS="-D warnings"
step "public items"
cargo doc --no-deps || fail "documentation of public items"
step "private items too"
cargo doc --no-deps --document-private-items || fail "documentation of private items"
exit "$failures"
