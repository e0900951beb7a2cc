#!/bin/sh
# Makes a database and a user for each context whose password is mounted, when the server's folder is empty.
set -eu
for file in /run/secrets/postgres/*; do
    context=${file##*/}
    [ "$context" != postgres ] || continue
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
