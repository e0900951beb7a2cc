#!/bin/bash
# SecantusDB in the place of mongod: a replica set of one by itself, with users and passwords, without a key file.
# JavaScript is not run; the users that infra/compose/mongo-user.js makes are made here (users.py).
set -euo pipefail
[ "$1" = mongod ] || exec "$@"
[ -s /data/configdb/keyfile ]
if [ "$(id -u)" = 0 ]; then
    chown -R mongodb:mongodb /data/db
    exec gosu mongodb "$0" "$@"
fi
serve=(python3 -c "from secantus.cli import main; main()" --storage-path /data/db --sync-on-commit --cache-size 256M --log-level WARNING)
if [ ! -e /data/db/.users ]; then
    "${serve[@]}" --host 127.0.0.1 --port 27018 & server=$!
    python3 /opt/entrypoints/mongo/users.py
    kill "$server"
    wait "$server" || true
    touch /data/db/.users
fi
exec "${serve[@]}" --host 0.0.0.0 --port 27017 --auth
