# shellcheck shell=bash
# Where a private stack keeps its files, and as whom its services run. To be sourced.

# Root's services run as users that Debian has for them; anyone else's as himself.
if ((EUID == 0)); then
    web_user=www-data database_user=postgres
else
    web_user=$(id -un) database_user=$web_user
fi

folder_refuse() {
    echo "$1" >&2
    return 1
}

# The folder itself, or the nearest one above it that exists.
nearest_folder() {
    local folder=$1
    until [[ -d $folder ]]; do
        folder=$(dirname "$folder")
    done
    echo "$folder"
}

services_may_enter() {
    ((EUID != 0)) || (exec_as "$web_user" test -x "$(nearest_folder "$1")")
}

# Why a folder can't hold the stack's files, in words; nothing when it can.
folder_fault() {
    if [[ $1 == *[^A-Za-z0-9._/+@~-]* ]]; then
        echo "its path holds characters that configure or nginx can't take"
    elif ! services_may_enter "$1"; then
        echo "the user $web_user, whom the services run as, may not enter it"
    elif [[ ! -w $(nearest_folder "$1") ]]; then
        echo "you may not write there"
    fi
}

# A name of our own in a folder that everyone may write, always the same for one path.
substitute_for() {
    echo "$1-$EUID-$(cksum <<<"$2" | cut -d' ' -f1)"
}

# own_folder PATH: makes it; refuses one that somebody else may change.
own_folder() {
    mkdir -p "$1" || return
    [[ -O $1 ]] || folder_refuse "$1 belongs to $(stat -c %U "$1"): run this as that user, or set LARDER_STATE to a folder of yours."
}

# own_leaf PATH: the same in a folder that everyone may write, where a link may lie in wait.
own_leaf() {
    [[ ! -L $1 ]] && own_folder "$1"
}

# place_state TREE: sets $state, $run (the sockets), $log and $pids. Makes nothing.
place_state() {
    wanted_state=$(realpath -m -- "${LARDER_STATE:-$1/.larder}")
    state=$wanted_state
    state_fault=$(folder_fault "$wanted_state")
    [[ -z $state_fault ]] || state=$(substitute_for /var/tmp/larder "$wanted_state")
    run=$state/run
    # The path of a socket has at most 107 bytes; the longest here ends in the lock file's name.
    local longest=/postgresql/.s.PGSQL.5432.lock
    ((${#run} + ${#longest} <= 107)) || run=$(substitute_for /tmp/larder-run "$state")
    log=$state/log
    pids=$state/pids
}

# make_state: the folders that place_state chose.
make_state() {
    umask 022
    if [[ -n $state_fault ]]; then
        say "The files go to $state, not to $wanted_state: $state_fault"
        own_leaf "$state" || return
    else
        own_folder "$state" || return
    fi
    if [[ $run == "$state/run" ]]; then
        own_folder "$run"
    else
        own_leaf "$run"
    fi
    mkdir -p "$log" "$pids"
}

# give USER PATH...: hands files to a service's user.
give() {
    local user=$1
    shift
    ((EUID != 0)) || chown -h "$user:" "$@"
}

# service_folder USER MODE PATH
service_folder() {
    [[ -d $3 ]] || mkdir "$3"
    chmod "$2" "$3"
    give "$1" "$3"
}

# service_log USER NAME: an empty log that the service itself opens.
service_log() {
    : >>"$log/$2.log"
    give "$1" "$log/$2.log"
}
