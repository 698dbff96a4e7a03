# shellcheck shell=bash
# Builds the programs from a copy of the sources, so that the checkout stays as it is, may be read-only, and may
# have been configured in place. To be sourced.

# copy_sources TREE BUILD: what the build reads, with its times, so that make sees what has changed.
copy_sources() {
    local each
    local -a there=()
    for each in configure.ac Makefile.am README.md NEWS LICENSE .clang-format .ci src tests nginx sql packaging; do
        [[ ! -e $1/$each ]] || there+=("$each")
    done
    mkdir -p "$2"
    tar -C "$1" --exclude='*.o' --exclude='*.a' --exclude=.deps --exclude=.dirstamp --exclude=node_modules \
        --exclude=__pycache__ --exclude='*.log' --exclude='*.trs' -cf - "${there[@]}" |
        tar -C "$2" --no-same-owner -xf -
}

# build_programs TREE BUILD [OPTION...], of configure
build_programs() {
    copy_sources "$1" "$2"
    (
        cd "$2" || exit
        if [[ ! -e config.status ]]; then
            autoreconf -i
            ./configure "${@:3}"
        fi
        make -j"$(nproc)"
    )
}
