# `make` lists what there is. `make demo` and `make test` need only Python 3.11, git and make.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3.11
VENV := .venv
INSTALLED := $(VENV)/.installed
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
# Nothing phones home, from the command line tools neither.
export DO_NOT_TRACK := true
export BENTOML_DO_NOT_TRACK := True
export DVC_NO_ANALYTICS := 1
export MLFLOW_DISABLE_TELEMETRY := true
export YOLO_OFFLINE := true
# Our processes create files for their user alone; DVC and BentoML do so from here.
PRIVATE := umask 077;
# Python keeps what it compiled, also where the environment says otherwise: hundreds of processes import the same.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo fast test soak check lock params bench bench-engines serve experiments mlflow clean

help: ## list these commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

setup: $(INSTALLED) ## create .venv with every package of requirements.lock

# uv installs in parallel and checks every hash; a machine without it gets one of its own, below .tools.
$(INSTALLED): requirements.lock
	@command -v uv > /dev/null || test -x .tools/bin/uv || { $(PYTHON) -m venv .tools && .tools/bin/pip install --quiet uv; }
	@uv="$$(command -v uv || echo .tools/bin/uv)"; \
	  test -x $(VENV)/bin/python || "$$uv" venv --quiet --python $(PYTHON) $(VENV); \
	  echo "installing the packages of requirements.lock into $(VENV) (about 6 GB)"; \
	  "$$uv" pip sync --quiet --compile-bytecode --require-hashes --python $(VENV)/bin/python requirements.lock
	@touch $@

demo: setup ## run the whole pipeline on the demo district, then print its results
	@git rev-parse --git-dir > /dev/null 2>&1 || { dvc config --local core.no_scm true; \
	  echo "no git repository here: DVC runs without one (.dvc/config.local), and models name no revision"; }
	@$(PRIVATE) if dvc status --quiet; then echo "nothing to do: no stage changed"; else \
	  $(MAKE) --no-print-directory demo-models && dvc repro; fi
	@python -m evaluation.show_results

# DVC runs one stage at a time. The models do not depend on each other, and networks as small as the demo's gain
# nothing from a second thread, so two models are made at a time, each on half of the cores.
.PHONY: demo-models
demo-models:
	$(PRIVATE) dvc repro prepare fit_transits
	@models="$$(dvc stage list --name-only | sed -n 's/^train_/demo-/p')"; \
	  OMP_NUM_THREADS=$$(( $$(nproc) > 1 ? $$(nproc) / 2 : 1 )) $(MAKE) --no-print-directory -j2 $$models

# $* is detector@<district>, attributes@<district> or reid@<backbone>-<district>.
demo-%:
	$(PRIVATE) dvc --wait-for-lock repro --single-item \
	  train_$* export@$(subst @,-,$*) predict@$(subst @,-,$*) evaluate_$*

# Without the tests that import torch or MLflow, which takes as long as all others together.
fast: setup ## run the quick tests, which need no process and no database
	@OMP_NUM_THREADS=1 pytest tests/unit/{districts,domain,evaluation,serving} -m "not slow and not soak" --numprocesses 2 \
	  --no-loadscope-reorder -p no:schemathesis $(addprefix --ignore tests/unit/,evaluation/comparison evaluation/experiments evaluation/reporting domain/test_names.py)

# On two cores, in the order of collection: what takes longest, the run of the whole pipeline, begins first.
test: setup ## run all tests but the soak
	@folder="$$(mktemp -d)"; trap 'rm -rf "$$folder"' EXIT; \
	  OMP_NUM_THREADS=1 pytest --basetemp="$$folder" --numprocesses 2 --no-loadscope-reorder

soak: setup ## run the tests that take many minutes: whole pipelines in other configurations
	@folder="$$(mktemp -d)"; trap 'rm -rf "$$folder"' EXIT; OMP_NUM_THREADS=1 pytest --basetemp="$$folder" -m soak

check: setup ## formatting, lint, types, who may import whom
	ruff format --check .
	ruff check .
	mypy .
	lint-imports

params: setup ## compose conf/ into params.yaml (after editing conf/)
	python -m conf.compose

lock: setup ## renew requirements.lock and requirements-gpu.lock from pyproject.toml
	@uv="$$(command -v uv || echo .tools/bin/uv)"; \
	  lock() { "$$uv" pip compile --quiet --generate-hashes --no-emit-index-url --python-version 3.11 "$$@"; }; \
	  lock pyproject.toml --extra pipeline --group dev -o requirements.lock; \
	  lock --group gpu -c requirements.lock -o requirements-gpu.lock

bench: setup ## measure against what others use; prints JSON
	python -m benchmarks.retrieval
	python -m benchmarks.detector

bench-engines: setup ## measure engines beside torch, OpenCV and OpenVINO, by batch; prints JSON, renews docs/engines.svg
	python -m benchmarks.engines --plot docs/engines.svg

# Of the district in params.yaml.
BENTO = bento/$$(python -c 'from domain.paths import configured_district; print(configured_district())')
serve: setup ## take in videos that are new, then serve the last run on http://127.0.0.1:3000; the first time, print tokens
	@test -f "$(BENTO)/bento.yaml" || { echo "error: $(BENTO) must hold a built Bento; run make demo first" >&2; exit 1; }
	@python -m serving.accounts first
	-@python -m serving.ingest # names videos that cannot be taken in; that is no reason to serve nothing
	@python -m serving.worker --until-empty serving.ingest.patience_s=10
	-@python -m serving.retention
	$(PRIVATE) DONGSEON_STORE="$${DONGSEON_STORE:-$$PWD/store}" bentoml serve "$$PWD/$(BENTO)" --host 127.0.0.1

# Columns of `dvc exp show`: it has hundreds.
FIGURES = (.*:)?(district|ap50|instance_f1|plain\.map|reranked\.map|rank1|idf1|reid\.(lr|max_epochs))|Experiment|rev
experiments: setup ## list DVC's experiments with their main figures, in lines as long as they need
	@COLUMNS=500 dvc exp show --no-pager --precision 3 --drop '.*' --keep '^($(FIGURES))$$'

MLFLOW_PORT ?= 5000
mlflow: setup ## open the experiment log on http://127.0.0.1:5000, with the password in mlflow.password
	@python -m evaluation.experiments.review port=$(MLFLOW_PORT)

clean: ## remove what stages wrote; DVC's cache, the store and the experiment log stay
	rm -rf data models engines predictions label_reports transits metrics plots tracks reports bento checkpoints
