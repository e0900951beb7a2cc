#!/bin/sh
# Makes each context's database and user, when the server's folder is empty.
set -eu
for context in catalog customers fulfilment inventory ordering payments shipping; do
    psql -v ON_ERROR_STOP=1 -v user="$context" -v database="orderfold_$context" \
        -v password="$(cat "/run/secrets/postgres/$context")" --username postgres <<'SQL'
CREATE ROLE :"user" LOGIN PASSWORD :'password';
CREATE DATABASE :"database" OWNER :"user";
REVOKE CONNECT ON DATABASE :"database" FROM PUBLIC;
SQL
done
# What unseals customers' events: apart from them, as everywhere.
psql -v ON_ERROR_STOP=1 --username postgres <<'SQL'
CREATE DATABASE customer_keys OWNER customers;
REVOKE CONNECT ON DATABASE customer_keys FROM PUBLIC;
SQL
