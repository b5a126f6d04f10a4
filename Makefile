# What people do with this tree. A fresh machine needs Python 3.11 or newer and make; the rest is installed into .venv.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test test-slow test-random lint format stubs release-protos bench servers clean

BIN := .venv/bin
PY := $(BIN)/python
PIP := $(PY) -m pip --disable-pip-version-check --no-input

help: ## List what can be made
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | awk -F '\t' '{printf "  make %-15s %s\n", $$1, $$2}'

demo: .venv/installed ## Train a small model for two minutes, sample, let a program review it, tune, and prove it in a duel
	@$(PY) -m embedded.demo

test: .venv/installed servers lint ## Run everything that CI runs
	@$(PY) -m pytest -m "not slow" -n 2 --dist loadfile || { echo "== Once more, alone, what failed: many tests kill real processes on a busy machine."; \
	  $(PY) -m pytest -m "not slow" --last-failed --last-failed-no-failures none; }

test-slow: .venv/installed servers ## Run the long tests
	$(PY) -m pytest -m slow

test-random: .venv/installed servers ## Look for counterexamples with fresh seeds; what fails says how to see it again
	TUTELAGE_TEST_EXAMPLES=random $(PY) -m pytest -m "hypothesis and not slow"

lint: .venv/installed ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/installed ## Lay out the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

stubs: .venv/installed ## Generate the stubs and the synchronous client again
	$(PY) protos/generate.py
	$(PY) sdk/generate_sync.py

release-protos: .venv/installed ## Take the protos as they are for the language that must not be broken from now on
	@$(PY) protos/generate.py --descriptor-set .venv/all.binpb
	$(BIN)/buf build .venv/all.binpb --exclude-source-info -o protos/last-release.binpb

bench: .venv/installed ## Measure, with the facts of the machine
	$(PY) -m benchmarks

servers: ## Install the database and queue servers that tests start (Debian or Ubuntu, as root)
	@.ci/install-servers

clean: ## Remove the environments
	rm -rf .venv .venv-stubs

# The stamp says which requirements are installed: older than any of these files, it is made again.
.venv/installed: pyproject.toml sdk/pyproject.toml constraints.txt
	@.ci/make-environment .venv
	@touch $@
