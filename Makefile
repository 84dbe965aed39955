# Everything a newcomer needs: make demo, make test. The environment is made on the way and kept.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
export GLOCAL_HOME ?= .glocal
export PYTHONUNBUFFERED := 1
DEMO := $(GLOCAL_HOME)/demo
.DEFAULT_GOAL := help
IMAGES := pipeline train serve
.PHONY: help setup demo bench unit test proofs lint format docs lock clean images wheelhouse sbom audit e2e-docker e2e-kubeflow manifests kube-assets

help: ## Show what can be made
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

setup: $(VENV)/ready ## Make the environment in .venv (a by-product of everything else)

$(VENV)/ready: requirements.lock pyproject.toml
	@echo "Making the environment in $(VENV): some minutes and 8 GB the first time."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { echo "Python 3.11 is needed; set PYTHON=/path/to/python3.11"; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python infra/install.py
	@touch $@

demo: setup ## Run the main job: draw a catalogue, train, gate, register, deploy, ask the endpoint
	@$(BIN)/glocal data demo $(DEMO)
	@$(BIN)/glocal run $(DEMO) --name demo --why "make demo"
	@$(BIN)/glocal query $(DEMO)/query.jpg
	@$(BIN)/glocal query $(DEMO)/query.jpg --op identify
	@$(BIN)/glocal query $(DEMO)/query.jpg $(DEMO)/images/wexley-rice-bites-sea-salt/01.jpg --op verify
	@$(BIN)/glocal query $(DEMO)/scenes/00.jpg --op detect --save $(DEMO)/detected.png
	@$(BIN)/glocal query $(DEMO)/query.jpg --op embed
	@echo "The endpoint keeps running: glocal serve status, glocal serve stop (in $(BIN))."
	@$(BIN)/glocal dashboard start

bench: setup ## Compare the methods (DATA=folder; without it on the drawn catalogue)
	@test -n "$(DATA)" || $(BIN)/glocal data demo $(GLOCAL_HOME)/demo
	@$(BIN)/python -m benchmarks.methods --data "$(or $(DATA),$(GLOCAL_HOME)/demo)" $(ARGS)

unit: setup ## Run the quick tests: under a minute (ARGS="-k name" for some of them)
	@$(BIN)/python -m pytest tests/unit -m "not slow and not long" $(ARGS)

test: setup ## Run all tests, a file at a time on each of up to four cores
	@$(BIN)/python -m pytest -n logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(ARGS)

proofs: setup ## Run the long proofs, one after the other: killed at each point of writing, two models, disks, reproduction
	@$(BIN)/python -m pytest -m long $(ARGS)

export KUBE_ASSETS ?= $(CURDIR)/.kube-assets

kube-assets: setup ## Build kustomize, kubeconform and schemas from Go modules in KUBE_ASSETS (SERVER=server: an API server too)
	@PYTHON=$(CURDIR)/$(BIN)/python infra/kubernetes/assets.sh "$(KUBE_ASSETS)" $(SERVER)

manifests: setup ## Render, validate and apply the manifests of the cluster; what is not there is skipped, but not the rendering
	@test -x "$(KUBE_ASSETS)/kustomize" || $(MAKE) --no-print-directory kube-assets
	@$(BIN)/python -m pytest -rs tests/unit/infra/test_manifests.py tests/integration/test_cluster.py tests/integration/test_cluster_promotion.py $(ARGS)

lint: setup ## Check style, types and the direction of imports
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet . || { echo "Some files are not formatted: make format"; exit 1; }
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: setup ## Format the code
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/ruff format --quiet .

docs: setup ## Write docs/settings.md anew from the configuration
	@$(BIN)/python -m model.settings_page > docs/settings.md.new && mv docs/settings.md.new docs/settings.md

lock: setup ## Resolve requirements.lock anew from pyproject.toml, and the locks of the images from it
	@$(BIN)/uv pip compile pyproject.toml --all-extras --generate-hashes --python-version 3.11 --no-emit-index-url --no-header --quiet -o requirements.lock
	@sh infra/images/lock.sh $(BIN)/uv

images: setup ## Build the container images (IMAGES="pipeline serve" for some; ARGS for docker build)
	@$(BIN)/python infra/images/build.py $(IMAGES) -- $(ARGS)

wheelhouse: setup ## Download what the images are built from, so that they build without a network
	@for each in build $(IMAGES); do $(BIN)/python -m pip download --quiet --require-hashes --no-deps --no-build-isolation --use-pep517 \
		--dest infra/images/wheelhouse --requirement infra/images/$$each.lock || exit 1; done

sbom: setup ## Write what each image is made of to build/sbom, as CycloneDX
	@mkdir -p build/sbom
	@for each in $(IMAGES); do $(BIN)/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible --of JSON \
		-o build/sbom/$$each.cdx.json infra/images/$$each.lock && echo build/sbom/$$each.cdx.json || exit 1; done

audit: setup ## Ask the index for known vulnerabilities of what the images are made of
	@for each in $(IMAGES); do $(BIN)/pip-audit --strict --require-hashes --disable-pip --progress-spinner off -r infra/images/$$each.lock || exit 1; done

e2e-docker: setup ## Run the demo in containers, and compare its figures with those of the local runner
	@$(BIN)/python -m pytest -m containers tests/containers $(ARGS)

e2e-kubeflow: setup ## Run the whole job on a live cluster, and compare with the local runner (docs/operations.md says what to set)
	@$(BIN)/python -m pytest -m cluster -rs -s tests/cluster $(ARGS)

clean: ## Remove the environment; data and models in GLOCAL_HOME stay
	@rm -rf $(VENV) build *.egg-info
