#!/bin/sh
# Resolve the locks of the images anew: the versions of requirements.lock, less what a target does not use. Run by `make lock`.
#
#   lock.sh UV
set -eu
cd "$(dirname "$0")/../.."

resolve() {
    "$uv" pip compile --generate-hashes --python-version 3.11 --no-emit-index-url --no-header --no-annotate --quiet \
        --constraint requirements.lock "$@"
}

uv=$1
unused='--no-emit-package milvus-lite --no-emit-package triton' # Milvus is a server here; triton would need a compiler in the image
cuda=''
for each in nvidia-cusolver nvidia-nvjitlink nvidia-cuda-cccl nvidia-nvtx cuda-bindings cuda-pathfinder cuda-toolkit; do
    cuda="$cuda --no-emit-package $each" # loaded by work on a GPU alone
done
steps='--extra registry --extra train --extra dashboard --extra cluster'

printf 'setuptools>=77\nwheel\n' | resolve --output-file infra/images/build.lock -
resolve $steps $unused $cuda --output-file infra/images/pipeline.lock pyproject.toml
resolve $steps $unused --output-file infra/images/train.lock pyproject.toml
resolve --extra serve --extra cluster $unused $cuda --no-emit-package pyarrow --output-file infra/images/serve.lock pyproject.toml
