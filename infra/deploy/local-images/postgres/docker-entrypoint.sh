#!/bin/bash
# The part of the official image's entry point that compose.yaml relies on: the first start and its scripts.
set -euo pipefail
# The wheel's PostgreSQL 18 was built without TLS; where that is wanted, Debian's 15 it is.
case " $* " in
*" -cssl=on "*) PATH=$(echo /usr/lib/postgresql/*/bin):$PATH ;;
esac
if [ "$(id -u)" = 0 ]; then
    install -d -m 0700 -o postgres -g postgres "$PGDATA"
    chown postgres:postgres /var/lib/postgresql
    install -d -o postgres -g postgres /run/postgresql
    exec gosu postgres "$0" "$@"
fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    # shellcheck disable=SC2086 - several arguments
    initdb -D "$PGDATA" -U postgres --pwfile="$POSTGRES_PASSWORD_FILE" ${POSTGRES_INITDB_ARGS:-} >/dev/null
    echo "host all all all ${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}" >>"$PGDATA/pg_hba.conf"
    # As the official one: with all the server is told, but for where it listens.
    pg_ctl -D "$PGDATA" -o "$(printf '%q ' "${@:2}") -c listen_addresses='' -k /run/postgresql" -w start >/dev/null
    export PGHOST=/run/postgresql
    for script in /docker-entrypoint-initdb.d/*.sh; do sh "$script"; done
    unset PGHOST
    pg_ctl -D "$PGDATA" -m fast -w stop >/dev/null
fi
exec "$@" -D "$PGDATA" -k /run/postgresql -h '*'
