#!/bin/sh
# Sets up what this checkout needs, on a fresh Debian 12: the virtual environment, and the Debian packages of the
# parts named as arguments (lab, browser). Safe to repeat; takes milliseconds when all is there.
set -eu
cd "$(dirname "$0")/.."

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

debian() {
    missing=""
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
    done
    [ -z "$missing" ] && return 0
    echo "installing Debian packages:$missing"
    as_root apt-get update -qq
    # shellcheck disable=SC2086
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
}

python=python3
command -v python3.11 >/dev/null 2>&1 && python=python3.11
command -v "$python" >/dev/null 2>&1 || debian python3
"$python" -c 'import ensurepip, venv' 2>/dev/null || debian python3-venv

# Kerberos and LDAP are extras that compile; SASL loads its GSSAPI module when it is first asked for.
debian gcc libc6-dev libkrb5-dev libldap2-dev libsasl2-dev libsasl2-modules-gssapi-mit
headers='import os, sys, sysconfig; sys.exit(not os.path.exists(sysconfig.get_paths()["include"] + "/Python.h"))'
"$python" -c "$headers" || debian python3-dev

if [ ! -x .venv/bin/python ]; then
    "$python" -m venv .venv
fi
stamp=.venv/.installed
if ! cmp -s pyproject.toml "$stamp"; then
    echo "installing Python packages into .venv"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
    cp pyproject.toml "$stamp"
fi

for part in "$@"; do
    case "$part" in
        lab)
            .venv/bin/python -m lab packages
            .venv/bin/python -m pusher.runner >/dev/null
            ;;
        browser) debian chromium fonts-dejavu-core ;;
        *) echo "setup.sh: unknown part $part" >&2; exit 2 ;;
    esac
done
