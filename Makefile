# Everything a developer or a new operator types. `make help` lists it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
BASE := $(VENV)/.base
LOCK := $(BIN)/uv pip compile --quiet $(if $(UPGRADE),--upgrade) --universal --python-version 3.11 --generate-hashes --no-annotate --custom-compile-command 'make lock'
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --no-compile

# Compiled modules are kept: the tests start hundreds of processes, and each would compile everything again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup lock newest demo test test-long cover lint format test-live bench run docs dist sbom release-notes clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## Make .venv with difyops and its tools, each in the version that requirements/dev.lock names

# What difyops itself needs comes first and by itself: the demo and the emulator need no more.
$(BASE): requirements/base.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("difyops needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Try: make $(MAKECMDGOALS) PYTHON=python3.12") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(PIP) --require-hashes --no-deps -r requirements/base.lock
	$(PIP) --no-deps --no-build-isolation --editable .
	@touch $(BASE)

$(STAMP): $(BASE) requirements/dev.lock
	$(PIP) --require-hashes --no-deps -r requirements/dev.lock
	@touch $(STAMP)

lock: $(BASE) ## Write requirements/*.lock after a change of pyproject.toml (UPGRADE=1: the newest of everything)
	$(PIP) 'uv>=0.9,<1'
	$(LOCK) --all-extras pyproject.toml --output-file requirements/dev.lock
	printf 'hatchling\neditables\n' | $(LOCK) --constraints requirements/dev.lock pyproject.toml - --output-file requirements/base.lock
	printf 'hatchling\neditables\n' | $(LOCK) --constraints requirements/dev.lock --extra redis --extra postgres --extra socks pyproject.toml - --output-file requirements/image.lock

newest: ## Make .venv with the newest releases that pyproject.toml allows, past the lock (a scheduled workflow does it)
	$(PYTHON) -m venv $(VENV)
	$(PIP) --upgrade pip
	$(PIP) --upgrade --upgrade-strategy eager --editable '.[dev]'
	@touch $(BASE) $(STAMP)

demo: $(BASE) ## Snapshot a fleet, break a workflow, see the drift, roll back, with proof (emulator, no server needed)
	@$(BIN)/python tests/demo.py

test: $(STAMP) ## Run the tests, no server and no network (T=tests/cli: a part; ARGS='-k name --seed 7': pytest's own)
	$(BIN)/python -m pytest $(if $(T),$(T),--workers auto) $(ARGS)

test-long: $(STAMP) ## The exhaustive rounds, whose smaller ones are part of "make test" (once a week in CI)
	$(BIN)/python -m pytest -m "long or exhaustive" --workers auto $(ARGS)

cover: $(STAMP) ## Run the tests (or T=...) and print which lines none of them reached
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest $(T) $(ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

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

run: $(BASE) ## Start the emulator on 127.0.0.1:5901 (Ctrl-C stops it)
	$(BIN)/difyops emulator start

docs: $(STAMP) ## Build the site into build/site; a dangling link or a page outside of the contents is an error
	$(BIN)/python docs/assemble.py build/pages
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet --jobs auto -c docs build/pages build/site

dist: $(BASE) ## Build sdist and wheel into dist/
	rm -rf dist
	$(BIN)/python -m hatchling build --directory dist

sbom: $(STAMP) ## Write build/difyops.cdx.json: what an installation holds, in which versions (CycloneDX)
	@mkdir -p build
	$(BIN)/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible --output-file build/difyops.cdx.json requirements/base.lock

release-notes: $(BASE) ## Print what CHANGELOG.md says of this version
	@awk -v version="$$($(BIN)/difyops --version | cut -d ' ' -f 2)" \
	  '/^## /{on = index($$0, "[" version "]")} on && !/^## /{print; said = 1} END{exit !said}' CHANGELOG.md

clean: ## Remove .venv and caches
	rm -rf build dist $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage .coverage.*
