#!/usr/bin/env bash
# Proves that the tests pass with optimisations, where the compiler inlines across waits and keeps
# what it may in registers: once with a worker for each CPU, and once on a single worker.
# Doctests are left to the debug build.
source "$(dirname "$0")/lib.bash"

step "release, a worker for each CPU"
(unset SEDGE_WORKERS && test_programs --release) || fail "release tests on a worker for each CPU"
step "release, SEDGE_WORKERS=1"
SEDGE_WORKERS=1 test_programs --release || fail "release tests on one worker"
exit "$failures"
