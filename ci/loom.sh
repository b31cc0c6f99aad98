#!/usr/bin/env bash
# Proves the concurrent protocols in their models: loom runs every interleaving, and every outcome
# that the memory orderings allow, of up to three preemptions.
#
# There is no LOOM_MAX_DURATION here on purpose: a model that is cut short passes in silence. A
# model that grew too large runs into the time limit of `.ci/run` instead, and fails.
source "$(dirname "$0")/lib.bash"

own_target loom
export RUSTFLAGS="--cfg sedge_loom ${RUSTFLAGS:-}"
export LOOM_MAX_PREEMPTIONS="${LOOM_MAX_PREEMPTIONS:-3}"

# What is not a model is not compiled here, so nothing needs filtering but the modules' names.
scratch
cargo test -p sedge-runtime --release --lib -- model loom | tee "$scratch_dir/output"
grep -q '^test result: ok\. [1-9]' "$scratch_dir/output" || {
    fail "no model ran: models are tests in modules named \`model\` or \`loom\`"
}
exit "$failures"
