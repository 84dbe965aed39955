#!/bin/sh
# Builds what the tests of the manifests use, from Go modules alone, and prints what it made: make kube-assets
# Needs Go 1.24 or later with a module proxy, some 6 GB and, for the API server, half an hour of two cores. Nothing else is fetched.
#   assets.sh FOLDER           kustomize, kubeconform, the schemas: minutes
#   assets.sh FOLDER server    also kube-apiserver, kube-controller-manager (and etcd is Debian's package etcd-server)
set -eu
folder=$(mkdir -p "$1" && cd "$1" && pwd)
kubernetes=${KUBERNETES_VERSION:-v1.34.4}
operator=v0.85.0
export GOBIN="$folder" GOFLAGS=-buildvcs=false
here=$(cd "$(dirname "$0")" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

module() { # folder of a module's files
  cd "$scratch" && [ -f go.mod ] || printf 'module scratch\n\ngo 1.24\n' > go.mod
  go mod download -json "$1" | python3 -c 'import json, sys; print(json.load(sys.stdin)["Dir"])'
}

[ -x "$folder/kustomize" ] || go install sigs.k8s.io/kustomize/kustomize/v5@v5.7.1
[ -x "$folder/kubeconform" ] || go install github.com/yannh/kubeconform/cmd/kubeconform@v0.7.0
source=$(module "k8s.io/kubernetes@$kubernetes")
mkdir -p "$folder/crds"
crds=$(module "github.com/prometheus-operator/prometheus-operator@$operator")/example/prometheus-operator-crd
for kind in servicemonitors prometheusrules; do cp -f "$crds/monitoring.coreos.com_$kind.yaml" "$folder/crds/"; done
chmod -R u+w "$folder/crds"
"${PYTHON:-python3}" "$here/schemas.py" "$source/api/openapi-spec/swagger.json" "$folder/crds" "$folder/schemas"
if [ "${2:-}" = server ]; then
  cp -r "$source" "$scratch/kubernetes" && chmod -R u+w "$scratch/kubernetes" && cd "$scratch/kubernetes"
  rm -rf vendor go.work go.work.sum
  # the module leaves out its staging folders: each is a module of its own, of the same number
  for each in $(sed -n 's#^[[:space:]]*\(k8s.io/[a-z-]*\) => ./staging/.*#\1#p' go.mod | sort -u); do
    go mod edit "-dropreplace=$each" "-require=$each@v0.${kubernetes#v1.}"
  done
  GOWORK=off GOFLAGS="$GOFLAGS -mod=mod" go build -trimpath -ldflags="-s -w" -o "$folder/" ./cmd/kube-apiserver ./cmd/kube-controller-manager
fi
ls "$folder"
