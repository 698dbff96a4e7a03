# shellcheck shell=bash
# Installs the Debian packages that packaging/dependencies lists, and only those that are missing. To be sourced.

dependencies_table=$(dirname "${BASH_SOURCE[0]}")/../dependencies

# The packages of these purposes, one a line.
packages_for() {
    local package purposes unless purpose
    while read -r package purposes unless _; do
        [[ $package == \#* || -z $package ]] && continue
        [[ $unless != - ]] && command -v "$unless" >/dev/null && continue
        for purpose in "$@"; do
            if [[ ,$purposes, == *",$purpose,"* ]]; then
                echo "$package"
                break
            fi
        done
    done <"$dependencies_table"
}

# Those of the packages named that are not installed, one a line.
missing_packages() {
    local package installed
    # dpkg-query fails as soon as it does not know one of them; what it knows it has printed.
    # shellcheck disable=SC2016
    installed=$(dpkg-query -W -f='${Package} ${db:Status-Status}\n' "$@" 2>/dev/null || true)
    for package in "$@"; do
        grep -qxF "$package installed" <<<"$installed" || echo "$package"
    done
}

# Runs a command as root: directly, or through sudo, which asks for a password only where someone can type it.
as_root() {
    if ((EUID == 0)); then
        "$@"
    elif [[ -t 0 ]]; then
        sudo "$@"
    else
        sudo -n "$@"
    fi
}

# A service that a package brings must not start by itself: quickstart and the tests start their own. Debian asks
# this file; one that is there already is left alone.
policy_file=/usr/sbin/policy-rc.d
policy_mark="# Made by Larder while it installs packages; may be deleted."

hold_services() {
    [[ -e $policy_file ]] && ! grep -qxF "$policy_mark" "$policy_file" && return
    printf '#!/bin/sh\n%s\nexit 101\n' "$policy_mark" | as_root tee "$policy_file" >/dev/null
    as_root chmod 755 "$policy_file"
}

release_services() {
    if grep -qxF "$policy_mark" "$policy_file" 2>/dev/null; then
        as_root rm -f "$policy_file"
    fi
}

apt_get() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=120 "$@" </dev/null
}

# Those of the packages named that apt knows no version of.
unknown_packages() {
    local package
    for package in "$@"; do
        # shellcheck disable=SC2016
        LC_ALL=C apt-cache policy "$package" 2>/dev/null | grep -q '^  Candidate: [^(]' || echo "$package"
    done
}

# Fetches the package indexes when they lack a package, and once more when the versions they name are gone.
fetch_and_install() {
    [[ -z $(unknown_packages "$@") ]] || apt_get update || return
    apt_get install --no-install-recommends "$@" && return
    apt_get update && apt_get install --no-install-recommends "$@"
}

packages_refuse() {
    echo "$1" >&2
    return 1
}

# install_missing PURPOSE...: makes sure that all packages of these purposes are there. apt's own words go to
# $packages_log, or to stderr. Returns 1, with one message, when it can't.
install_missing() {
    local -a wanted missing
    local unknown status=0
    command -v dpkg-query >/dev/null || packages_refuse "dpkg-query is missing: this needs Debian 12 or later." ||
        return
    mapfile -t wanted < <(packages_for "$@")
    mapfile -t missing < <(missing_packages "${wanted[@]}")
    ((${#missing[@]})) || return 0
    if ((EUID != 0)) && ! as_root true 2>/dev/null; then
        packages_refuse "Packages are missing and you may not install them with sudo. As root, run:
  apt-get install --no-install-recommends ${missing[*]}" || return
    fi
    echo "Installing ${missing[*]}"
    (
        trap release_services EXIT
        trap 'exit 130' INT
        trap 'exit 143' TERM
        hold_services
        fetch_and_install "${missing[@]}"
    ) >>"${packages_log:-/dev/stderr}" 2>&1 || status=$?
    ((status < 128)) || return "$status"
    mapfile -t missing < <(missing_packages "${missing[@]}")
    ((${#missing[@]})) || return 0
    unknown=$(unknown_packages "${missing[@]}" | tr '\n' ' ')
    [[ -z $unknown ]] || packages_refuse "apt knows no package ${unknown% }: see /etc/apt/sources.list" || return
    packages_refuse "apt could not install ${missing[*]}${packages_log:+: see $packages_log}"
}

# ensure_package_index: the catalogue is made from apt's index, which a bare image may lack.
ensure_package_index() {
    # shellcheck disable=SC2016
    [[ -z $(apt-get indextargets --format '$(FILENAME)' 'Created-By: Packages' 2>/dev/null) ]] || return 0
    echo "Fetching the package index"
    apt_get update >>"${packages_log:-/dev/stderr}" 2>&1 ||
        packages_refuse "apt has no package index, which the catalogue is made from. As root, run: apt-get update"
}
