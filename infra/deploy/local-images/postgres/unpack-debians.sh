#!/bin/sh
# Debian's PostgreSQL, which speaks TLS, without what installing it brings along: a cluster, a compiler, Perl.
set -eu
cd "$1"
APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get -qq download postgresql-15 postgresql-client-15
for package in postgresql-*.deb; do
    dpkg-deb -x "$package" .
    rm "$package"
done
# Compiling queries wants the compiler's library; without this PostgreSQL does not try to.
rm -rf usr/lib/postgresql/15/lib/bitcode usr/lib/postgresql/15/lib/llvmjit*
