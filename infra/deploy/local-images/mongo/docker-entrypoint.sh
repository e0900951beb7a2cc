#!/bin/bash
# What the official image's entry point does with a root user, scripts and mongod's options; mongod 6 and mongosh are real.
set -euo pipefail
[ "$1" = mongod ] || exec "$@"
if [ "$(id -u)" = 0 ]; then
    chown -R mongodb:mongodb /data/db /data/configdb
    exec gosu mongodb "$0" "$@"
fi
if [ ! -e /data/db/.users ]; then
    # The first start: reached from inside alone, without authentication and replica set.
    mongod --dbpath /data/db --bind_ip 127.0.0.1 --quiet & server=$!
    export HOME=/tmp
    until mongosh --quiet --norc --eval 'db.hello().isWritablePrimary' mongodb://127.0.0.1/admin; do
        kill -0 "$server" && sleep 0.2
    done
    mongosh --quiet --norc mongodb://127.0.0.1/admin --eval '
        db.createUser({
          user: process.env.MONGO_INITDB_ROOT_USERNAME,
          pwd: fs.readFileSync(process.env.MONGO_INITDB_ROOT_PASSWORD_FILE, "utf8").trim(),
          roles: ["root"],
        })'
    for script in /docker-entrypoint-initdb.d/*.js; do
        mongosh --quiet --norc mongodb://127.0.0.1/test "$script"
    done
    kill "$server"
    wait "$server"
    touch /data/db/.users
fi
exec mongod --dbpath /data/db --auth "${@:2}"
