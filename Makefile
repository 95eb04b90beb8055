# Everything runs in .venv, made with the standard library's venv and filled from constraints.txt.
# `make` alone lists the targets.

PYTHON ?= python3
VENV ?= .venv
ARGS ?=

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
INPUTS := pyproject.toml constraints.txt

# A spinning OpenMP thread starves its neighbour: two quiet workers beat two greedy ones.
QUIET := OMP_WAIT_POLICY=PASSIVE OMP_NUM_THREADS=1

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test test-all faults lint bench docs reproduce-quick format clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo "Options: PYTHON=python3.12 (3.11 or newer), VENV=folder, ARGS='-k name' for test, --full for bench"

demo: $(VENV)/.installed ## install, then train a mixture of VAEs on handwritten digits (under two minutes)
	$(QUIET) $(BIN)/mixvae train mixture-vae --data digits --network gated-mlp --hidden 300 \
	    --n-latent 8 --n-samples 4 --batch-size 64 --max-epochs 60 --average ema

test: $(VENV)/.installed-test ## install, then run the tests but for some that take ten seconds each
	$(QUIET) $(BIN)/python -m pytest -n 2 -m "not slow" tests $(ARGS)

test-all: $(VENV)/.installed-test ## install, then run every test
	$(QUIET) $(BIN)/python -m pytest -n 2 tests $(ARGS)

faults: $(VENV)/.installed-test ## kill, damage, fill and misuse at random, in some minutes; ARGS=--quick for a twentieth
	$(QUIET) $(BIN)/python -m tests.faults $(ARGS)

lint: $(VENV)/.installed-dev ## check style, formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.installed-bench ## compare speeds, in a few minutes; ARGS=--full as published
	OMP_WAIT_POLICY=PASSIVE $(BIN)/python benchmarks/all.py $(ARGS)

docs: $(VENV)/.installed-docs ## build the documentation site into docs/_build, in some minutes; warnings are errors
	$(QUIET) MPLBACKEND=agg $(BIN)/python -m sphinx -W --keep-going -q docs docs/_build $(ARGS)
	@echo "Open docs/_build/index.html"

reproduce-quick: $(VENV)/.installed ## every table and figure of the papers on a few images, in some minutes, into results-quick/
	$(QUIET) $(BIN)/mixvae reproduce all --scale quick $(ARGS)

format: $(VENV)/.installed-dev ## fix what ruff can fix
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove the environment, caches and build files (runs/ stays)
	rm -rf $(VENV) build dist docs/_build docs/auto_examples src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage htmlcov
	find src tests -type d -name __pycache__ -prune -exec rm -rf {} +

$(BIN)/pip:
	@command -v $(PYTHON) >/dev/null || \
	    { echo "mixvae: no '$(PYTHON)' here; name a Python 3.11 or newer: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("mixvae: needs Python 3.11 or newer, but $(PYTHON) is %d.%d; name another: make PYTHON=python3.11" % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(INPUTS) | $(BIN)/pip
	$(PIP) install --quiet -c constraints.txt -e .
	@touch $@

$(VENV)/.installed-%: $(INPUTS) | $(BIN)/pip
	$(PIP) install --quiet -c constraints.txt -e ".[$*]"
	@touch $@
