#!/bin/sh
# As the official image has it: flags are nats-server's.
set -e
case "$1" in -*) set -- nats-server "$@" ;; esac
if [ "$1" = nats-server ]; then
    shift
    set -- "$(find /opt/servers -name nats-server -type f -perm -u+x | head -n 1)" "$@"
fi
exec "$@"
