#!/bin/sh
# Install packages of Debian, with the updates of the base, and leave no list or cache. What is there already needs no network.
#
#   debian.sh PACKAGE...
set -eu
export DEBIAN_FRONTEND=noninteractive
if ! dpkg --status "$@" >/dev/null 2>&1; then
    apt-get update
    apt-get upgrade --yes
    apt-get install --yes --no-install-recommends "$@"
fi
rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/log/* /var/lib/dpkg/*-old
