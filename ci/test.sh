#!/usr/bin/env bash
# Proves that the README's test command passes on one worker (no other worker hides a lost wake-up),
# on two, and on more workers than this machine is likely to have CPUs.
source "$(dirname "$0")/lib.bash"

for workers in 1 2 8; do
    step "cargo test, SEDGE_WORKERS=$workers"
    SEDGE_WORKERS=$workers cargo test --no-fail-fast || fail "tests on $workers workers"
done
exit "$failures"
