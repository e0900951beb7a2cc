#!/bin/bash
# SecantusDB in the place of mongod: a replica set of one by itself, with users and passwords, without a key file.
# JavaScript is not run; the users that infra/deploy/compose/mongo-user.js makes are made here (users.py).
set -euo pipefail
[ "$1" = mongod ] || exec "$@"
if [ "$(id -u)" = 0 ]; then
    chown -R mongodb:mongodb /data/db
    exec gosu mongodb "$0" "$@"
fi
# mongod's options, as SecantusDB has them; what it cannot do ends it, as an unknown option does mongod.
only() { [ "$1" = "$3" ] || { echo "of $2 only $1 is known, not $3" >&2; exit 2; }; }
options=()
shift
while [ $# -gt 0 ]; do
    case $1 in
    --bind_ip_all) options+=(--host 0.0.0.0) && shift && continue ;;
    --replSet) ;;
    --keyFile) [ -s "$2" ] ;;
    --tlsMode) only requireTLS "$@" ;;
    # Python has no setting of it but OpenSSL's own.
    --tlsDisabledProtocols) only TLS1_0,TLS1_1,TLS1_2 "$@" && export OPENSSL_CONF=/opt/entrypoints/mongo/tls-1.3.cnf ;;
    --tlsCertificateKeyFile) options+=(--tls-cert-file "$2" --tls-key-file "$2") ;;
    # mongod wants certificates of clients as soon as it knows whose to believe.
    --tlsCAFile) options+=(--tls-ca-file "$2" --tls-require-client-cert) ;;
    *) echo "unknown option $1" >&2 && exit 2 ;;
    esac
    shift 2
done
serve=(python3 -c "from secantus.cli import main; main()" --storage-path /data/db --sync-on-commit --cache-size 256M --log-level WARNING)
if [ ! -e /data/db/.users ]; then
    "${serve[@]}" --host 127.0.0.1 --port 27018 & server=$!
    python3 /opt/entrypoints/mongo/users.py
    kill "$server"
    wait "$server" || true
    touch /data/db/.users
fi
exec "${serve[@]}" --port 27017 --auth "${options[@]}"
