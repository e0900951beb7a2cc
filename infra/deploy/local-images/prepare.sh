# What the official images have and Debian's packages have not: names and users.
set -eu
mkdir -p /usr/local/bin
for name in python python3; do ln -sf /usr/bin/python3 /usr/local/bin/$name; done
ln -sf /usr/bin/busybox /usr/local/bin/wget
useradd --system --uid 999 --user-group --no-create-home postgres
useradd --system --uid 998 --user-group --no-create-home mongodb
