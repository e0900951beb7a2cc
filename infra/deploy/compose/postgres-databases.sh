#!/bin/sh
# A database and a user for each context whose password is mounted, made when PostgreSQL starts for the first time.
set -eu
for file in /run/secrets/store_*; do
    context=${file##*/store_}
    psql --quiet --no-psqlrc -v ON_ERROR_STOP=1 --username postgres --dbname postgres -v context="$context" <<'SQL'
\set password `cat /run/secrets/store_:context`
CREATE ROLE :"context" LOGIN PASSWORD :'password';
CREATE DATABASE :"context" OWNER :"context";
REVOKE ALL ON DATABASE :"context" FROM PUBLIC;
SQL
done
# The keys of what customers' events seal: apart from the events, so that no backup holds both.
psql --quiet --no-psqlrc -v ON_ERROR_STOP=1 --username postgres --dbname postgres <<'SQL'
CREATE DATABASE customer_keys OWNER customers;
REVOKE ALL ON DATABASE customer_keys FROM PUBLIC;
SQL
