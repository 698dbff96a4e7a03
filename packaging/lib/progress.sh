# shellcheck shell=bash
# What a script tells the person who runs it. To be sourced.

# One line with the seconds since the start.
say() {
    printf '[%3d s] %s\n' "$SECONDS" "$*"
}

# refuse STATUS MESSAGE...: the end, before anything was started.
refuse() {
    local status=$1
    shift
    printf '%s\n' "$*" >&2
    exit "$status"
}

# A step's log, whose end is shown when the step fails, and what it is called.
step_log="" step_name=""

# step LOG MESSAGE...: says what begins now.
step() {
    step_log=$1
    shift
    step_name=$*
    say "$@"
}

show_step_log() {
    if [[ -n $step_log && ! -s $step_log ]]; then
        printf '\n"%s" failed, and left nothing in %s.\n' "$step_name" "$step_log" >&2
    fi
    [[ -n $step_log && -s $step_log ]] || return 0
    printf '\nThe end of %s:\n' "$step_log" >&2
    tail -n 20 "$step_log" | sed 's/^/    /' >&2
}

# wait_for SECONDS WHAT COMMAND...: until the command succeeds. Returns 1, with a message, when it never does.
wait_for() {
    local limit=$((SECONDS + $1)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        if ((SECONDS >= limit)); then
            echo "Waited in vain for $what." >&2
            return 1
        fi
        sleep 0.05
    done
}

# tell_if_full FOLDER: what fails where no room is left can seldom say so itself.
tell_if_full() {
    local left
    left=$(df -Pk -- "$1" | awk 'NR == 2 { print int($4 / 1024) }')
    if ((left < 16)); then
        echo "The disk of $1 is full: $left MB are left. Make room, or set LARDER_STATE to a folder elsewhere." >&2
    fi
}
