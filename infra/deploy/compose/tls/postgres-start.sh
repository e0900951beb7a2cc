#!/bin/sh
# PostgreSQL takes a key only if it is its own and nobody else may read it; a secret is mounted as it is.
set -eu
install -d -o postgres -g postgres -m 0700 /etc/orderfold/own
install -o postgres -g postgres -m 0400 /run/secrets/tls_postgres.key /etc/orderfold/own/server.key
exec docker-entrypoint.sh "$@"
