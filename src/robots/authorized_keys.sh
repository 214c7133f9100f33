# Edits the account's own authorized_keys in one step: a copy with its mode and owner takes the file's place.
#
#   add OLD KIND NEW      behind each line with the key OLD one like it, its options and comment too, with NEW of KIND
#   remove OLD KIND NEW   no line with OLD any more, where one with NEW is
#
# It says how far it came: whoever does not hear `robotd-begins` has run something else, and after `robotd-unchanged` the
# file is as it was.
set -eu
umask 077
edit() {
    mode=$1 old=$2 kind=$3 new=$4
    file=$(readlink -f "$HOME/.ssh/authorized_keys") || file=
    if [ ! -f "$file" ]; then
        echo robotd-no-key
        exit 1
    fi
    rm -f "$file".robotd.*
    next=$(mktemp "$file.robotd.XXXXXXXX")
    cp -p "$file" "$next"
    awk -v mode="$mode" -v old="$old" -v kind="$kind" -v new="$new" '
        function has(key,   i) {
            for (i = 2; i <= NF; i++) if ($i == key) return 1
            return 0
        }
        /^[ \t]*#/ { if (NR != FNR) print; next }
        NR == FNR { if (has(old)) olds++; if (has(new)) news++; next }
        !has(old) { print; next }
        mode == "remove" { next }
        {
            print
            if (news) next
            at = index($0, old)
            before = substr($0, 1, at - 1)
            sub(/[^ \t]+[ \t]+$/, "", before)
            print before kind " " new substr($0, at + length(old))
        }
        END { if (!news && (mode == "remove" || !olds)) exit 3 }
    ' "$file" "$file" > "$next" || {
        [ $? -ne 3 ] || echo robotd-no-key
        exit 1
    }
    sync
    mv -f "$next" "$file"
    trap - EXIT
    sync
}
next=
trap '[ -z "$next" ] || rm -f "$next"; echo robotd-unchanged' EXIT
echo robotd-begins
edit "$@"
echo robotd-done
