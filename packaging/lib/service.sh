# shellcheck shell=bash
# Processes that outlive the script that starts them, and that a later run finds again. To be sourced.
#
# $pids is a folder with a file for each service, a line for each of its processes: pid and start time, as
# /proc/PID/stat has it. The two together name one process for good, so that no stranger is ever signalled.

# Field 22 of /proc/PID/stat; nothing for a process that is gone or a zombie.
process_start() {
    local stat
    local -a fields
    { stat=$(<"/proc/$1/stat"); } 2>/dev/null || return 0
    read -ra fields <<<"${stat##*) }"
    [[ ${fields[0]} == Z ]] || echo "${fields[19]}"
}

# remember_service NAME PID...
remember_service() {
    local name=$1 pid
    shift
    for pid in "$@"; do
        echo "$pid $(process_start "$pid")"
    done >"$pids/$name"
}

# The pids of a service that still run, one a line.
service_pids() {
    local pid start
    [[ -e $pids/$1 ]] || return 0
    while read -r pid start; do
        [[ -n $start && $(process_start "$pid") == "$start" ]] && echo "$pid"
    done <"$pids/$1"
    return 0
}

# Whether every process that was started for this service runs.
service_up() {
    [[ -s $pids/$1 && $(service_pids "$1" | wc -l) -eq $(wc -l <"$pids/$1") ]]
}

service_gone() {
    [[ -z $(service_pids "$1") ]]
}

# stop_service NAME SIGNAL: asks, waits 20 seconds, insists. The file goes last.
stop_service() {
    local pid
    for pid in $(service_pids "$1"); do
        kill -s "$2" "$pid" 2>/dev/null || true
        kill -s CONT "$pid" 2>/dev/null || true
    done
    if ! wait_for 20 "the end of $1" service_gone "$1"; then
        for pid in $(service_pids "$1"); do
            kill -s KILL "$pid" 2>/dev/null || true
        done
        wait_for 5 "the end of $1" service_gone "$1"
    fi
    rm -f "$pids/$1"
}

# exec_as USER COMMAND...: for subshells. Becomes that user when we are root; else the user is who we are.
exec_as() {
    local user=$1
    shift
    if ((EUID == 0)); then
        exec setpriv --reuid="$user" --regid="$user" --init-groups -- "$@"
    fi
    exec "$@"
}

# No descriptor of ours but the first three goes on into a service.
close_other_files() {
    local each
    for each in /proc/self/fd/*; do
        each=${each##*/}
        ((each <= 2)) || eval "exec $each>&-"
    done
}

# start_service NAME USER LOG COMMAND...: in a session of its own, so that Ctrl-C reaches the script alone.
start_service() {
    local name=$1 user=$2 log=$3
    shift 3
    (
        close_other_files
        exec_as "$user" setsid "$@"
    ) </dev/null >>"$log" 2>&1 &
    remember_service "$name" $!
}
