# Everything a checkout needs. Only make and Python 3.11+ are assumed; `make` alone lists the targets.

PYTHON ?= python3
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
PY := $(BIN)/python
LOCK := requirements/dev.txt
# What the environment was made from. Written last, so a half-made environment has none; names the folder,
# because a virtual environment does not survive being moved.
STAMP := $(VENV)/made-from

.DEFAULT_GOAL := help
.PHONY: help env run test check bench openapi lock clean

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

env:  ## Make or refresh .venv from the hashed lock
	@want="$$(cat pyproject.toml $(LOCK) Makefile | cksum) $(CURDIR)"; \
	if [ "$$(cat $(STAMP) 2>/dev/null)" = "$$want" ] && $(PY) -c '' 2>/dev/null; then exit 0; fi; \
	rm -f $(STAMP); \
	$(MAKE) --no-print-directory .install && printf '%s\n' "$$want" > $(STAMP)

# uv installs in seconds where pip takes most of a minute. Where uv cannot (an index that only pip is configured
# for, a platform without a wheel), pip does the same from the same lock.
.PHONY: .install
.install: .python
	@grep -qsxF '$(CURDIR)' $(VENV)/made-in && $(PY) -m pip --version >/dev/null 2>&1 || { \
	  echo 'env: making $(VENV)'; \
	  rm -rf $(VENV); \
	  $(PYTHON) -m venv $(VENV) && printf '%s\n' '$(CURDIR)' > $(VENV)/made-in; }
	@echo 'env: installing $(LOCK)'
	@export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1; \
	awk '/^uv==/ { on = 1 } on { print } on && !/\\$$/ { exit }' $(LOCK) > $(VENV)/uv.txt; \
	if $(PY) -m pip install -qq --require-hashes -r $(VENV)/uv.txt \
	  && $(BIN)/uv pip sync --quiet --python $(PY) --require-hashes $(LOCK); then :; else \
	  echo 'env: uv cannot do it here; installing with pip'; \
	  $(PY) -m pip install -qq --require-hashes -r $(LOCK) || exit 1; fi; \
	$(PY) -m pip install -qq --no-deps --no-build-isolation --editable .

.PHONY: .python
.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "env: Python 3.11 or newer is needed, but $(PYTHON) is: $$($(PYTHON) --version 2>&1)"; \
	  echo 'env: name another one like this: make env PYTHON=python3.12'; exit 1; } >&2
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo 'env: $(PYTHON) lacks venv or ensurepip (on Debian and Ubuntu: apt-get install python3-venv)'; \
	  exit 1; } >&2

run: env  ## Start Baton with its own Postgres and Valkey; Ctrl-C ends all of it
	@exec $(BIN)/baton up $(ARGS)

test: env  ## Run the tests; ARGS='-k name -x' passes options to pytest
	@$(PY) -m pytest $(ARGS)

check: env  ## Run what CI checks before the tests: lint, format, types, imports
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo --cache-dir .cache/import_linter
	@if [ -d tests/checks ]; then set -x; $(PY) -m pytest -q tests/checks; fi

bench: env  ## Measure Baton and its peers side by side; ARGS='--only accept --rounds 3' for some
	@$(PY) -m bench $(ARGS)

openapi: env  ## Write docs/openapi.json from the routes
	@$(PY) -m api.document > docs/openapi.json.new && mv docs/openapi.json.new docs/openapi.json

COMPILE = $(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes \
  --no-emit-index-url --custom-compile-command 'make lock' $(ARGS)

lock: env  ## Resolve pyproject.toml into requirements/; ARGS='--upgrade-package NAME' or --upgrade
	$(COMPILE) --group build --output-file requirements/runtime.txt
	$(COMPILE) --group dev --all-extras --constraint requirements/runtime.txt --output-file $(LOCK)
	@! grep -n '://' requirements/*.txt || { echo 'lock: an address got into a lock' >&2; exit 1; }

clean:  ## Remove the environment and every cache; keeps .baton, which holds data
	rm -rf $(VENV) .cache .hypothesis dist
	find . -name __pycache__ -type d -not -path './.git/*' -not -path './.baton/*' -prune -exec rm -rf {} +
