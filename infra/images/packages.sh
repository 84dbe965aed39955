#!/bin/sh
# Install what a lock pins into an environment, by the hashes of the files. Nothing else is installed, and no compiler is there.
#
#   packages.sh ENVIRONMENT LOCK
set -eu
of_python=antlr4-python3-runtime # has no wheel in the version that DVC needs; its source is Python alone, which setuptools packs

install() {
    /tools/bin/pip --python "$environment/bin/python" install --quiet --require-hashes --no-deps --no-build-isolation --use-pep517 \
        --only-binary :all: --no-binary "$of_python" --requirement "$1"
}

environment=$1
install /build/build.lock
install "$2"
