#!/bin/sh
# Remove what no image uses from an environment: headers, static libraries, bundled tests; without a GPU, what no CPU work loads.
#
#   slim.sh ENVIRONMENT cpu|cuda
#
# torch and torchvision come from PyPI as a pair, and there they are built for CUDA: torch does not load without the libraries below, so
# they stay on a CPU too. The others are loaded by work on a GPU alone.
set -eu
packages=$(echo "$1"/lib/python3.*/site-packages)
needed='cublas|cublasLt|cudart|cudnn|cufft|cufile|cupti|cusparse|cusparseLt|nccl|nvrtc|nvshmem_host'

rm -rf "$packages"/torch/include "$packages"/torch/share "$packages"/nvidia/*/include "$packages"/nvidia/*/lib/cmake
find "$packages" -name '*.a' -type f -delete
find "$packages" -type d -name tests -path '*/tests' ! -path '*/torch/*' -prune -exec rm -rf {} +

if [ "$2" = cpu ]; then
    find "$packages"/nvidia -type f -path '*/lib/*' -regextype posix-extended ! -regex ".*/lib($needed)\.so\.[0-9]+" -delete
fi
