#!/usr/bin/env bash
# Proves that every link from a page of the project to another file of it, or to a heading, leads
# somewhere. Links that leave the project are not followed.
source "$(dirname "$0")/lib.bash"

# The text of a page without its code blocks and code spans, in which brackets are not links.
prose() {
    awk '/^ *```/ { code = !code; next } !code { gsub(/`[^`]*`/, "x"); print }' "$1"
}

# The targets of the links of a page, inline and by reference, one a line.
targets() {
    prose "$1" | { grep -oE '\]\([^)]+\)|^\[[^]]+\]: *[^ ]+' || true; } |
        sed -E 's/^\]\(([^ )]+).*\)$/\1/; s/^\[[^]]+\]: *//'
}

# The anchors of a page's headings: lower case, no punctuation, hyphens for spaces.
anchors() {
    awk '/^ *```/ { code = !code; next } !code && sub(/^#+ +/, "")' "$1" |
        tr '[:upper:]' '[:lower:]' | sed -E 's/[^[:alnum:] _-]//g; s/ /-/g'
}

while IFS= read -r page; do
    while IFS= read -r target; do
        case "$target" in *://* | mailto:*) continue ;; esac
        file=${target%%#*} anchor=
        [ "$file" = "$target" ] || anchor=${target#*#}
        if [ -z "$file" ]; then file=$page; else file=$(dirname "$page")/$file; fi
        if [ ! -e "$file" ]; then
            fail "$page: no such file: $target"
        elif [ -n "$anchor" ] && [ "${file##*.}" = md ]; then
            anchors "$file" | grep -qxF -- "$anchor" || fail "$page: no such heading: $target"
        fi
    done < <(targets "$page")
done < <(files '*.md')
exit "$failures"
