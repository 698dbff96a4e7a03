# shellcheck shell=bash
# A private PostgreSQL, two Redis, two pools of responders, larderd and nginx. To be sourced, after service.sh and folder.sh.
#
# Each start_… function returns when its service answers. Nothing listens anywhere but on 127.0.0.1 and on sockets.

services=(postgresql redis queue api export larderd nginx)
packs=(social catalog review kv)

# PostgreSQL

newest_postgresql() {
    local -a found=(/usr/lib/postgresql/*/bin/postgres)
    printf '%s\n' "${found[@]%/postgres}" | sort -V | tail -n 1
}

# The login that the kernel vouches for decides the role: the owner may be both, the responders only larder.
write_database_settings() {
    local me
    me=$(id -un)
    cat >"$state/postgresql/data/postgresql.conf" <<END
listen_addresses = ''
port = 5432
unix_socket_directories = '$run/postgresql'
max_connections = 100
shared_buffers = 128MB
max_wal_size = 2GB
wal_level = minimal
max_wal_senders = 0
synchronous_commit = off
jit = off
END
    cat >"$state/postgresql/data/pg_hba.conf" <<END
local all postgres peer map=quickstart
local all larder   peer map=quickstart
END
    {
        printf 'quickstart "%s" %s\n' "$me" postgres "$me" larder
        ((EUID != 0)) || printf 'quickstart %s %s\n' "$database_user" postgres "$web_user" larder
    } >"$state/postgresql/data/pg_ident.conf"
}

make_cluster() {
    local folder=$state/postgresql
    [[ ! -d $folder/data ]] || return 0
    rm -rf "$folder/unfinished"
    (exec_as "$database_user" "$(newest_postgresql)/initdb" --pgdata="$folder/unfinished" --username=postgres \
        --auth=peer --encoding=UTF8 --locale=C.UTF-8) >>"$log/postgresql.log" 2>&1
    mv "$folder/unfinished" "$folder/data"
}

owner_psql() {
    PGUSER=postgres psql --no-psqlrc --quiet --no-align --tuples-only --set=ON_ERROR_STOP=1 "$@"
}

make_role_and_database() {
    owner_psql --dbname=postgres >>"$log/postgresql.log" 2>&1 <<'END'
SELECT 'CREATE ROLE larder LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'larder') \gexec
SELECT 'CREATE DATABASE larder' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'larder') \gexec
END
}

start_postgresql() {
    service_folder "$database_user" 700 "$state/postgresql"
    service_folder "$database_user" 755 "$run/postgresql"
    make_cluster
    write_database_settings
    start_service postgresql "$database_user" "$log/postgresql.log" \
        "$(newest_postgresql)/postgres" -D "$state/postgresql/data"
    wait_for_service postgresql 60 owner_psql --dbname=postgres --command='SELECT 1'
    make_role_and_database
}

# Redis

free_port() {
    local port
    while port=$((20000 + SRANDOM % 12000)); do
        port_is_free "$port" && echo "$port" && return
    done
}

port_is_free() {
    ! (: <>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# redis_answers PORT PASSWORD. The password is no argument of a program, where others could see it.
redis_answers() {
    [[ $(REDISCLI_AUTH=$2 redis-cli -p "$1" ping 2>/dev/null) == PONG ]]
}

# start_redis_server SERVICE VARIABLE LINE...: with these lines of redis.conf; its URL is put into the variable.
# Every user of this machine can reach a loopback port: hence the password.
start_redis_server() {
    local name=$1 port password
    local -n variable=$2
    port=$(free_port)
    password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
    service_folder "$web_user" 700 "$state/$name"
    (
        umask 077
        printf '%s\n' "bind 127.0.0.1" "port $port" "requirepass $password" "dir $state/$name" 'save ""' "${@:3}" \
            >"$state/$name/redis.conf"
    )
    give "$web_user" "$state/$name/redis.conf"
    variable=redis://default:$password@127.0.0.1:$port/0
    start_service "$name" "$web_user" "$log/$name.log" redis-server "$state/$name/redis.conf"
    wait_for_service "$name" 20 redis_answers "$port" "$password"
}

# Answers: what does not fit is forgotten, and nothing outlives a stop.
start_redis() {
    export LARDER_REDIS
    start_redis_server redis LARDER_REDIS "appendonly no" "maxmemory 128mb" "maxmemory-policy allkeys-lru"
}

# Jobs: nothing that was said yes to is forgotten.
start_queue() {
    export LARDER_QUEUE
    start_redis_server queue LARDER_QUEUE "appendonly yes" "appendfsync always" "maxmemory-policy noeviction"
}

# Packs

# Whether a pack's load takes --scale.
pack_scales() {
    "$tree/sql/$1/load" --help | grep -q -e --scale
}

# load_pack NAME SCALE: once; again when another scale is asked for, or its tables have become others. A pack without
# tables has nothing to load.
load_pack() {
    local name=$1 scale=$2 mark=$state/loaded/$1 loaded
    [[ -e $tree/sql/$name/load ]] || return 0
    local -a arguments=(--replace)
    pack_scales "$name" && arguments+=(--scale "$scale") || scale=-
    loaded="$scale $(cat "$tree/sql/$name"/{load,*.sql} | cksum)"
    mkdir -p "$state/loaded"
    if [[ -e $mark && $(<"$mark") == "$loaded" ]]; then
        say "The pack $name is loaded already"
        return
    fi
    rm -f "$mark"
    step "$log/load.log" "Loading the pack $name"
    PGDATABASE=larder PGUSER=postgres "$tree/sql/$name/load" "${arguments[@]}" >>"$log/load.log" 2>&1
    owner_psql --dbname=larder --set=role=larder --file="$tree/sql/$name/grants.sql" >>"$log/load.log" 2>&1
    echo "$loaded" >"$mark"
}

# Copies of a pack's routes that differ from what they were made of.
routes_edited() {
    local copies=$state/routes/$1 origin=$state/routes-copied/$1
    [[ -d $copies && ! -L $copies ]] || return 1
    [[ -d $origin ]] || origin=$tree/sql/$1/routes
    ! diff -qr "$origin" "$copies" >/dev/null
}

# The packs' own folders where the responders can read them, so that an edit is one SIGHUP away; else copies, which are
# made anew until one of them is edited. What else lies there is the user's own and stays.
gather_routes() {
    local name source
    mkdir -p "$state/routes" "$state/routes-copied"
    for name in "${packs[@]}"; do
        source=$tree/sql/$name/routes
        if routes_edited "$name"; then
            say "$state/routes/$name has edits of yours and stays as it is; remove it to have the pack's own again"
            continue
        fi
        rm -rf "${state:?}/routes/$name" "${state:?}/routes-copied/$name"{,.new}
        if (exec_as "$web_user" sh -c 'cat "$0"/*.sql' "$source") >/dev/null 2>&1; then
            ln -s "$source" "$state/routes/$name"
        else
            # By mv, or a copy that a full disk broke off would pass for an edit.
            cp -r "$source" "$state/routes-copied/$name"
            cp -r "$source" "$state/routes-copied/$name.new"
            mv "$state/routes-copied/$name.new" "$state/routes/$name"
        fi
    done
}

# Tokens

# The secret that tokens are signed with and verified by, once for all starts.
make_token_secret() {
    token_secret=$state/token-secret
    export LARDER_JWT_ALG=HS256 LARDER_JWT_KEY_FILE=$token_secret
    [[ ! -e $token_secret ]] || return 0
    (umask 077 && od -An -N32 -tx1 /dev/urandom | tr -d ' \n' >"$token_secret.new")
    give "$web_user" "$token_secret.new"
    mv "$token_secret.new" "$token_secret"
}

# Responders

# start_pool NAME PROCESSES
start_pool() {
    local name=$1 processes=$2
    service_log "$web_user" "$name"
    rm -f "$run/larder/$name.sock"
    # spawn-fcgi gives its children no stderr, so each opens the log itself.
    # shellcheck disable=SC2016
    (
        close_other_files
        export PGDATABASE=larder PGUSER=larder LARDER_RUN=$run/larder LARDER_ROUTES=$state/routes
        exec_as "$web_user" spawn-fcgi -s "$run/larder/$name.sock" -M 0600 -F "$processes" \
            -P "$run/larder/$name.pid" -- /bin/sh -c 'exec "$0" 2>>"$1"' "$state/build/larder-fcgi" "$log/$name.log"
    ) </dev/null >>"$log/$name.log" 2>&1
    local -a started
    mapfile -t started <"$run/larder/$name.pid"
    remember_service "$name" "${started[@]}"
}

# larderd

# Triggers on what the routes read; larderd may take what they leave. Again at each start: a no-op where all is there.
# A route that keeps it from being done is named in the log.
install_triggers() {
    local -x PGDATABASE=larder PGUSER=postgres LARDER_ROUTES=$state/routes
    if ! "$state/build/larder" install --to larder >>"$log/install.log" 2>&1; then
        "$state/build/larder" check >>"$log/install.log" 2>&1 || true
        return 1
    fi
}

start_larderd() {
    service_log "$web_user" larderd
    PGDATABASE=larder PGUSER=larder LARDER_RUN=$run/larder LARDER_ROUTES=$state/routes \
        start_service larderd "$web_user" "$log/larderd.log" "$state/build/larderd"
}

# nginx

# What lets larderd refresh what nginx keeps, once for all starts.
make_nginx_secret() {
    local secret
    nginx_secret=$state/nginx/secret.conf
    export LARDER_NGINX=$url LARDER_NGINX_SECRET_FILE=$nginx_secret
    [[ ! -e $nginx_secret ]] || return 0
    mkdir -p "$state/nginx"
    secret=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
    (umask 077 && echo "$secret yes;" >"$nginx_secret.new")
    give "$web_user" "$nginx_secret.new"
    mv "$nginx_secret.new" "$nginx_secret"
}

# The shipped site, listening where quickstart says.
write_site() {
    local folder=$state/nginx
    rm -rf "$folder/snippets" "$folder/kv"
    mkdir -p "$folder/snippets" "$folder/kv"
    install -m 644 "$tree"/nginx/snippets/*.conf "$folder/snippets"
    install -p -m 644 "$tree"/nginx/kv/* "$folder/kv"
    sed -i "s#/usr/share/larder/nginx/kv/#$folder/kv/#" "$folder/snippets/larder-kv.conf"
    sed -i -e "s#unix:/run/larder/#unix:$run/larder/#" -e "s#/run/larder-nginx#$folder/temporary/kept#" \
        -e "s#/etc/larder/nginx-secret.con\[f\]#$nginx_secret#" "$folder/snippets/larder-upstreams.conf"
    sed -e "s#listen 80;#listen 127.0.0.1:$port;#" -e "s#/var/log/nginx/larder.error.log#$log/nginx.log#" \
        -e "s#/var/log/nginx/larder\.#$log/nginx.#" \
        "$tree/nginx/larder.conf" >"$folder/larder.conf"
    cat >"$folder/nginx.conf" <<END
daemon off;
worker_processes auto;
pid $folder/temporary/nginx.pid;
error_log $log/nginx.log;
events {
}
http {
    default_type application/octet-stream;
    client_body_temp_path $folder/temporary/body;
    fastcgi_temp_path $folder/temporary/fastcgi;
    proxy_temp_path $folder/temporary/proxy;
    uwsgi_temp_path $folder/temporary/uwsgi;
    scgi_temp_path $folder/temporary/scgi;
    include larder.conf;
}
END
}

start_nginx() {
    local each
    write_site
    service_folder "$web_user" 755 "$state/nginx/temporary"
    for each in nginx.access nginx; do
        service_log "$web_user" "$each"
    done
    start_service nginx "$web_user" "$log/nginx.log" nginx -p "$state/nginx/" -e "$log/nginx.log" \
        -c "$state/nginx/nginx.conf"
    wait_for_service nginx 20 curl -sf -o /dev/null "$url/_larder/health"
}

# All of them

# The first service that was started and runs no more, if any.
ended_service() {
    local name
    for name in "${services[@]}"; do
        [[ ! -e $pids/$name ]] || service_up "$name" || { echo "$name" && return; }
    done
}

ended_or() {
    [[ -n $(ended_service) ]] || "$@"
}

# wait_for_service NAME SECONDS COMMAND...: until the command succeeds; gives up as soon as any service has ended,
# and leaves that one's log to be shown.
wait_for_service() {
    local name=$1 seconds=$2 ended
    shift 2
    wait_for "$seconds" "$name to answer" ended_or "$@"
    ended=$(ended_service)
    [[ -n $ended ]] || return 0
    step_log=$log/$ended.log
    echo "$ended has ended." >&2
    return 1
}

all_up() {
    local name
    for name in "${services[@]}"; do
        service_up "$name" || return 1
    done
}

any_left() {
    local name
    for name in "${services[@]}"; do
        [[ ! -e $pids/$name ]] || return 0
    done
    return 1
}

# The reverse of the order in which they started; nginx ends its requests (QUIT), PostgreSQL cuts its clients (INT).
stop_all() {
    local position name
    local -A signal=([postgresql]=INT [redis]=TERM [queue]=TERM [api]=TERM [export]=TERM [larderd]=TERM [nginx]=QUIT)
    for ((position = ${#services[@]} - 1; position >= 0; position--)); do
        name=${services[position]}
        [[ ! -e $pids/$name ]] || stop_service "$name" "${signal[$name]}"
    done
    rm -f "$state/environment"
}
