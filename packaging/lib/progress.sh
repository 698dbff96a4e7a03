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

# A step's log, whose end is shown when the step fails.
step_log=

# step LOG MESSAGE...: says what begins now.
step() {
    step_log=$1
    shift
    say "$@"
}

show_step_log() {
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
