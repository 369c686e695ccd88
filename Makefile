# Everything a developer or a new operator types. `make help` lists it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# Compiled modules are kept: the tests start hundreds of processes, and each would compile everything again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint format test-live bench run clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## Make .venv with difyops and its tools

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("difyops needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Try: make $(MAKECMDGOALS) PYTHON=python3.12") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $(STAMP)

demo: $(STAMP) ## Snapshot a fleet, break a workflow, see the drift, roll back, with proof (emulator, no server needed)
	@$(BIN)/python tests/demo.py

test: $(STAMP) ## Run the tests (no server, no network)
	$(BIN)/python -m pytest -n 5 --dist worksteal

lint: $(STAMP) ## Lint, format check, strict types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP) ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test-live: $(STAMP) ## Story tests against the instance in DIFY_BASE_URL ... on scratch apps that they remove
	$(BIN)/python -m pytest -m live tests/live

bench: $(STAMP) ## Print the figures: ratios against raw baselines in the same run
	$(BIN)/python -m tests.bench

run: $(STAMP) ## Start the emulator on 127.0.0.1:5901 (Ctrl-C stops it)
	$(BIN)/difyops emulator start

clean: ## Remove .venv and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
