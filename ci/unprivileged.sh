#!/usr/bin/env bash
# Proves that the tests pass as an ordinary user: no capabilities, 1,024 descriptors, nothing to
# read or write but a temporary directory. Started by root, it becomes a user that owns nothing;
# started by anyone else, it stays that user.
source "$(dirname "$0")/lib.bash"

as_ordinary_user() {
    if [ "$(id -u)" = 0 ]; then
        setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all --bounding-set=-all \
            --no-new-privs -- "$@"
    else
        "$@"
    fi
}

# The tree itself may stand where an ordinary user cannot go, so the programs are copied, laid out as
# cargo lays them out: the tests look for the examples in the directory beside their own.
scratch
programs="$scratch_dir/programs" home="$scratch_dir/home"
mkdir -p "$programs/deps" "$programs/examples" "$home"
chmod 755 "$scratch_dir" "$programs" "$programs"/*
chmod 777 "$home"
as_ordinary_user test -w "$home" || {
    fail "an ordinary user cannot reach $scratch_dir: set TMPDIR to a directory that all can reach"
    exit 1
}

# copy PATTERN DIRECTORY: copies the programs of those of cargo's messages that match.
copy() {
    sed -n "/$1/ s/.*\"executable\":\"\([^\"]*\)\".*/\1/p" "$scratch_dir/messages" |
        while IFS= read -r program; do install -m 755 "$program" "$2"; done
}
cargo build --examples --message-format=json >"$scratch_dir/messages"
copy '"kind":\["example"\]' "$programs/examples"
cargo test --no-run --lib --bins --tests --message-format=json >"$scratch_dir/messages"
copy '"test":true}' "$programs/deps"

count=0
for program in "$programs"/deps/*; do
    [ -e "$program" ] || continue
    count=$((count + 1))
    name=${program##*/}
    step "$name, as an ordinary user"
    (
        ulimit -n 1024 && cd "$home" &&
            HOME=$home TMPDIR=$home as_ordinary_user "$program"
    ) || fail "$name as an ordinary user"
done
[ "$count" -gt 0 ] || fail "cargo named no test program"
exit "$failures"
