#!/bin/bash
# As infra/deploy/compose/mongo-start.sh; mongod wants its certificate and its key in one file, and that of its own, too.
set -euo pipefail
own=/data/configdb
install -o mongodb -g mongodb -m 0400 /run/secrets/mongo_keyfile "$own/keyfile"
install -o mongodb -g mongodb -m 0600 /dev/null "$own/server.pem"
cat /run/secrets/tls_mongo.pem /run/secrets/tls_mongo.key > "$own/server.pem"
# Without compressors `orderfold verify --erased` can search the files for texts.
exec docker-entrypoint.sh mongod --replSet orderfold --keyFile "$own/keyfile" --bind_ip_all \
    --tlsMode requireTLS --tlsDisabledProtocols TLS1_0,TLS1_1,TLS1_2 \
    --tlsCertificateKeyFile "$own/server.pem" --tlsCAFile /run/secrets/tls_ca \
    --wiredTigerCollectionBlockCompressor none --wiredTigerJournalCompressor none
