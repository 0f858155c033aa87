# Touchpoint. `make help` lists what there is. Needs make and Python 3.11 or newer; uses uv when it is there.
PYTHON ?= python3
LEADS ?= 200000
ACTIVITIES ?= 2000000
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help run install test test-unit test-postgres test-browser lint format bench bench-search bench-reports \
  bench-timeline bench-imports bench-api bench-lite bench-bad-files assets lock hooks clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

run: $(VENV)/.base ## start everything with demo data and print a sign-in link (PORT, BIND, DATA_DIR)
	@$(BIN)/python scripts/run.py

install: $(VENV)/.base ## the environment with its packages, and nothing else
	@echo "Everything is in $(VENV). Go on with: . $(BIN)/activate"

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

format: $(VENV)/.dev ## put imports and code in shape
	@$(BIN)/ruff check -q --fix --exit-zero .
	@$(BIN)/ruff format -q .

bench: bench-search bench-lite bench-reports bench-timeline bench-imports bench-api ## ratios against hand-written SQL on PostgreSQL (LEADS, ACTIVITIES)

bench-search bench-reports: KEEP = --keep var/bench-$(LEADS)-$(ACTIVITIES)
bench-search: $(VENV)/.dev
	@$(BIN)/python scripts/postgres.py $(KEEP) -- $(BIN)/python -m tests.bench --leads $(LEADS) --activities $(ACTIVITIES)

bench-reports: $(VENV)/.dev
	@$(BIN)/python scripts/postgres.py $(KEEP) -- \
	  $(BIN)/python -m tests.bench.reports --leads $(LEADS) --activities $(ACTIVITIES)

bench-lite: $(VENV)/.dev ## searches on SQLite beside hand-written SQL (20,000 leads, 200,000 activities)
	@$(BIN)/python -m tests.bench.lite

bench-timeline bench-imports bench-api: bench-%: $(VENV)/.dev
	@$(BIN)/python scripts/postgres.py -- $(BIN)/python -m tests.bench.$*

bench-bad-files: $(VENV)/.dev ## what files that are too large, endless or bombs cost a running server
	@$(BIN)/python -m tests.bench.bad_files

assets: $(VENV)/.base ## fetch the vendored web assets again (needs npm)
	@$(BIN)/python scripts/vendor_assets.py

lock: ## make the lock files again (needs uv)
	@command -v uv >/dev/null 2>&1 || { echo "Locking needs uv: pip install uv"; exit 1; }
	uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -q -o requirements/base.txt
	uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -q -o requirements/dev.txt

hooks: $(VENV)/.dev ## check each commit before it is made (git hooks)
	@$(BIN)/prek install

clean: ## remove the environment; data in var/ stays
	rm -rf $(VENV)

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Touchpoint needs Python 3.11 or newer, and '$(PYTHON)' is not that. Say which one to use: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@if [ -x $(BIN)/python ]; then :; \
	elif command -v uv >/dev/null 2>&1; then uv venv -q --python $(PYTHON) $(VENV); \
	else $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null && $(PYTHON) -m venv $(VENV) || { \
	  rm -rf $(VENV); echo "This Python cannot make environments (venv and ensurepip are missing). On Debian: apt-get install python3-venv"; exit 1; }; fi
	@touch $@

# $(call install,FILE): exactly what the lock file says, each file checked against its hash.
define install
	@echo "Installing packages (once; about half a minute) …"
	@if command -v uv >/dev/null 2>&1; then VIRTUAL_ENV=$(VENV) uv pip install -q --require-hashes -r $(1); else \
	  $(BIN)/python -c 'import pip' 2>/dev/null || $(BIN)/python -m ensurepip -q; \
	  $(BIN)/python -m pip install -q --disable-pip-version-check --no-input --require-hashes -r $(1); fi
endef

$(VENV)/.base: $(VENV)/.made requirements/base.txt
	$(call install,requirements/base.txt)
	@touch $@

# dev.txt holds everything that base.txt does.
$(VENV)/.dev: $(VENV)/.made requirements/dev.txt requirements/base.txt
	$(call install,requirements/dev.txt)
	@touch $(VENV)/.base $@
