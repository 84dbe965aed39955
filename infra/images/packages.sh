#!/bin/sh
# Install what a lock pins into an environment, by the hashes of the files. Nothing else is installed, and no compiler is there: of the
# few packages that are published as source alone (kfp among them), setuptools packs what is Python.
#
#   packages.sh ENVIRONMENT LOCK
set -eu

install() {
    /tools/bin/pip --python "$environment/bin/python" install --quiet --require-hashes --no-deps --no-build-isolation --use-pep517 \
        --requirement "$1"
}

environment=$1
install /build/build.lock
install "$2"
