#!/bin/sh
# Sets up what this checkout needs, on a fresh Debian 12: the virtual environment, from its lock, and the Debian packages
# of the parts named as arguments (lab, browser, dist). Safe to repeat; takes milliseconds when all is there, and no network.
set -eu
cd "$(dirname "$0")/.."

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

absent() {
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || printf ' %s' "$package"
    done
}

updated=""
update() {
    [ -n "$updated" ] || as_root apt-get update -qq
    updated=yes
}

debian() {
    [ $# = 0 ] && return 0
    update
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

# -- which Python ------------------------------------------------------------------------------------------------
python=python3
command -v python3.11 >/dev/null 2>&1 && python=python3.11
command -v "$python" >/dev/null 2>&1 || debian python3

# -- what is missing ---------------------------------------------------------------------------------------------
# Kerberos and LDAP are extras that compile; SASL loads its GSSAPI module when it is first asked for.
missing=$(absent gcc libc6-dev libkrb5-dev libldap2-dev libsasl2-dev libsasl2-modules-gssapi-mit)
headers='import os, sys, sysconfig; sys.exit(not os.path.exists(sysconfig.get_paths()["include"] + "/Python.h"))'
"$python" -c 'import ensurepip, venv' 2>/dev/null || missing="$missing python3-venv"
"$python" -c "$headers" || missing="$missing python3-dev"
missing_for_lab="" lab=""
for part in "$@"; do
    case "$part" in
        lab) lab=yes missing_for_lab=$("$python" lab/packages.py) ;;
        dist) missing="$missing$(absent gcc-mingw-w64-x86-64)" ;;
        browser) missing="$missing$(absent chromium fonts-dejavu-core)" ;;
        *) echo "setup.sh: unknown part $part" >&2; exit 2 ;;
    esac
done

installed() { cat locks/build.txt locks/dev.txt | cmp -s - .venv/.locked; }
project() { cmp -s pyproject.toml .venv/.installed; }
new_environment=""
installed || new_environment=yes

# -- what that means, before it is done --------------------------------------------------------------------------
python_megabytes=110 python_seconds=240  # of dev.txt and build.txt, three of which are compiled
announce() {
    download=0 disk=0 seconds=0
    if [ -n "$missing$missing_for_lab" ]; then
        update
        # shellcheck disable=SC2086
        said=$(as_root env LC_ALL=C apt-get install --assume-no --no-install-recommends $missing $missing_for_lab 2>&1 || true)
        megabytes='{ gsub(",", "", $1); print int($1 * ($2 == "GB" ? 1000 : $2 == "kB" ? 0.001 : $2 == "B" ? 0 : 1) + 0.5) }'
        download=$(echo "$said" | sed -n 's/^Need to get \(.*\/\)\{0,1\}\([0-9.,]*\) \([kMG]\{0,1\}B\) of archives.*/\2 \3/p' | awk "$megabytes")
        disk=$(echo "$said" | sed -n 's/^After this operation, \([0-9.,]*\) \([kMG]\{0,1\}B\) of additional.*/\1 \2/p' | awk "$megabytes")
        download=${download:-0} disk=${disk:-0}
        seconds=$((download / 10 + disk / 25))
        echo "to be installed: Debian packages:$missing $missing_for_lab"
        echo "                 and what they need: $download MB to fetch, $disk MB on disk"
    fi
    if [ -n "$new_environment" ]; then
        echo "to be installed: Python packages of locks/dev.txt into .venv: $python_megabytes MB to fetch, 490 MB on disk"
        download=$((download + python_megabytes)) seconds=$((seconds + python_megabytes / 10 + python_seconds))
    fi
    echo "                 together about $(((seconds + 59) / 60)) min on two cores and a line of 10 MB/s"
}
[ -z "$missing$missing_for_lab$new_environment" ] || announce

# -- doing it ----------------------------------------------------------------------------------------------------
# shellcheck disable=SC2086
debian $missing

pip_install() {
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps "$@"
}
if [ -n "$new_environment" ]; then
    where=""
    [ ! -d wheels ] || where="--no-index --find-links wheels"   # from `make wheels`, perhaps on another machine
    "$python" -m venv --clear .venv   # nothing stays that is not in the lock
    for lock in build dev; do   # what builds first: nothing is built with what no lock names
        # shellcheck disable=SC2086
        pip_install $where --require-hashes --requirement "locks/$lock.txt"
    done
    cat locks/build.txt locks/dev.txt >.venv/.locked
fi
if ! project; then
    pip_install --no-index --editable .
    cp pyproject.toml .venv/.installed
fi

if [ -n "$lab" ]; then
    [ -z "$missing_for_lab" ] || .venv/bin/python -m lab packages
    .venv/bin/python -m pusher.helper_exe >/dev/null
fi
