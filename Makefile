# Touchpoint. `make help` lists what there is.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help run test test-unit test-postgres test-browser lint format bench assets lock clean
.DEFAULT_GOAL := help

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

run: $(VENV)/.base ## start everything with demo data and print a sign-in link (PORT, DATA_DIR)
	@$(BIN)/python scripts/run.py

test: $(VENV)/.dev ## lint, all tests on SQLite and PostgreSQL, browser tests
	@$(BIN)/python scripts/test.py

test-unit: $(VENV)/.dev ## the fast loop: SQLite, no browser
	@$(BIN)/python scripts/test.py unit

test-postgres: $(VENV)/.dev ## the same on PostgreSQL
	@$(BIN)/python scripts/test.py postgres

test-browser: $(VENV)/.dev ## the stories in a real browser
	@$(BIN)/python scripts/test.py browser

lint: $(VENV)/.dev ## ruff, import contracts, types, templates, migrations
	@$(BIN)/python scripts/test.py lint

format: $(VENV)/.dev ## format the code
	@$(BIN)/ruff check -q --fix . ; $(BIN)/ruff format -q .

bench: $(VENV)/.dev ## ratios against hand-written SQL on PostgreSQL (LEADS, ACTIVITIES)
	@$(BIN)/python scripts/postgres.py --keep var/bench -- $(BIN)/python -m tests.bench

assets: $(VENV)/.base ## fetch the vendored web assets again (needs npm)
	@$(BIN)/python scripts/vendor_assets.py

lock: ## make the lock files again (needs uv)
	uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -q -o requirements/base.txt
	uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -q -o requirements/dev.txt

clean: ## remove the environment; data in var/ stays
	rm -rf $(VENV)

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Touchpoint needs Python 3.11 or newer; '$(PYTHON)' is older. Say which one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@if command -v uv >/dev/null 2>&1; then uv venv -q --python $(PYTHON) $(VENV); else \
	  $(PYTHON) -m venv $(VENV) || { echo "This Python cannot make environments. On Debian: apt-get install python3-venv"; rm -rf $(VENV); exit 1; }; fi
	@touch $@

$(VENV)/.base: $(VENV)/.made requirements/base.txt
	@echo "Installing packages …"
	@if command -v uv >/dev/null 2>&1; then VIRTUAL_ENV=$(VENV) uv pip install -q --require-hashes -r requirements/base.txt; else \
	  $(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/base.txt; fi
	@touch $@

$(VENV)/.dev: $(VENV)/.base requirements/dev.txt
	@echo "Installing test packages …"
	@if command -v uv >/dev/null 2>&1; then VIRTUAL_ENV=$(VENV) uv pip install -q --require-hashes -r requirements/dev.txt; else \
	  $(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/dev.txt; fi
	@touch $@
