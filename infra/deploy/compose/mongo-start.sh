#!/bin/bash
# mongod takes a key file only if it is its own and nobody else may read it; a secret is mounted as it is.
set -euo pipefail
install -o mongodb -g mongodb -m 0400 /run/secrets/mongo_keyfile /data/configdb/keyfile
# Without compressors `orderfold verify --erased` can search the files for texts.
exec docker-entrypoint.sh mongod --replSet orderfold --keyFile /data/configdb/keyfile --bind_ip_all \
    --wiredTigerCollectionBlockCompressor none --wiredTigerJournalCompressor none
