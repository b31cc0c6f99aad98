#!/usr/bin/env bash
# Proves that the tests pass on the paths that a new kernel never takes: guards made by `mprotect`,
# and none of the newest system calls.
source "$(dirname "$0")/lib.bash"

own_target fallbacks
export RUSTFLAGS="--cfg sedge_test_mprotect --cfg sedge_test_old_kernel ${RUSTFLAGS:-}"
# shellcheck disable=SC2119 # no flags to add
test_programs
