# `make` runs the worked example, `make test` runs the tests; `make help` lists the rest.
# All that is needed is a Python with pip. What is installed stays in .venv and .bootstrap.

# dbt-core 1.11 does not import on Python 3.14 (github.com/dbt-labs/dbt-core/issues/12098).
SUITS := import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))
ifndef PYTHON
PYTHON = $(eval PYTHON := $(shell for python in python3 python3.13 python3.12 python3.11 python; do \
	"$$python" -c "$(SUITS)" >/dev/null 2>&1 && echo "$$python" && break; done))$(PYTHON)
endif

UV_VERSION := 0.13.9
UV ?= .bootstrap/uv-$(UV_VERSION)/bin/uv
ENV := .venv/.complete

# Where pip has an index in place of PyPI, from its files or from PIP_INDEX_URL, uv takes that one too; by itself it
# reads none of pip's settings.
LIKE_PIP = \
	index="$${UV_DEFAULT_INDEX:-$${UV_INDEX_URL:-$$("$(PYTHON)" -m pip config list 2>/dev/null \
		| sed -nE "s/^(:env:|global|install)[.]index-url='(.*)'$$/\2/p" | head -n 1)}}"; \
	if [ -n "$$index" ]; then export UV_DEFAULT_INDEX="$$index"; fi; \
	if [ -n "$$PIP_CERT" ]; then export SSL_CERT_FILE="$${SSL_CERT_FILE:-$$PIP_CERT}"; fi

.DEFAULT_GOAL := run
.PHONY: run postgres test hunt hostile lint format bench leak superset dbt112 screenshots env clean help

run: $(ENV) ## the worked example: build everything, then ask two questions (the default)
	.venv/bin/gemel build
	.venv/bin/gemel query --metrics flights,cancelled_flights,average_departure_delay
	.venv/bin/gemel query --metrics flights,late_rate --group-by carrier__name --order -flights --limit 5

postgres: $(ENV) ## the worked example on PostgreSQL and Redis, in build/postgres (PGHOST and its like, REDIS_URL)
	.venv/bin/python data/postgres.py
	.venv/bin/gemel build --project-dir build/postgres --target postgres
	.venv/bin/gemel features online departure_delay_v1 carrier=UA origin=EWR plane=N14228 \
		--project-dir build/postgres --target postgres

test: $(ENV) ## the tests, in two processes; make test PYTEST_ARGS="-k window -n 0" hands words on to pytest
	.venv/bin/pytest -n 2 --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

SEED := $(or $(SEED),$(shell date +%s))

hunt: $(ENV) ## every property on thousands of new examples (hours); HUNT_ARGS=tests/hostile SEED=7: of a folder, again
	@echo "make hunt SEED=$(SEED) tries these examples again"
	.venv/bin/pytest -n 2 --dist loadfile --no-loadscope-reorder -m hypothesis --hypothesis-profile=hunt --hypothesis-seed=$(SEED) $(HUNT_ARGS)


hostile: $(ENV) ## hostile filters over the whole language, run; ENGINE=postgres COUNT=100000 SEED=7
	.venv/bin/python tests/hostile/many.py --engine $(or $(ENGINE),duckdb) --count $(or $(COUNT),100000) --seed $(SEED)

lint: $(ENV) ## format, lint and types, as CI checks them
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	UV_DEFAULT_INDEX=https://pypi.org/simple $(UV) lock --check --quiet

format: $(ENV) ## rewrite the code as make lint wants it
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

bench: $(ENV) ## the measurements of benchmarks/README.md (minutes)
	.venv/bin/python benchmarks/run.py

leak: .venv/.leak ## the demonstration of docs/leak.md (minutes)
	.venv/bin/python docs/leak/leak.py --write $(LEAK_ARGS)

superset: .bootstrap/superset/.complete ## a real Superset takes the dataset of docs/superset.md (minutes; a gigabyte)
	.venv/bin/python docs/superset/superset.py --write

dbt112: .bootstrap/dbt112/.complete ## the example with dbt-core 1.12 in both kinds of YAML, compared with 1.11 (minutes)
	.venv/bin/python tests/gemel_dbt/dbt112.py .venv/bin/python .bootstrap/dbt112/bin/python

screenshots: $(ENV) ## the pictures of docs/catalogue.md: the built example's in headless Chromium
	.venv/bin/python docs/catalogue/screenshots.py

env: $(ENV) ## only the environment, in .venv

clean: ## remove the environment and what was built
	rm -rf .venv .bootstrap build target logs dbt_packages dist *.duckdb *.duckdb.wal
	rm -rf feature_views/data/*.parquet feature_views/data/*.db .mypy_cache .ruff_cache .pytest_cache .hypothesis

help: ## this list
	@sed -n 's/^\([a-z0-9]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 16

# `uv sync` would insist on the index that the lock file names. What it exports can come from any mirror, and the
# hashes still say that each file is the one that was locked.
$(ENV): uv.lock pyproject.toml | $(UV)
	@echo "Installing what uv.lock names into .venv ..."
	@$(LIKE_PIP); set -e; \
	$(UV) export --frozen --quiet --no-emit-project --output-file .bootstrap/requirements.txt; \
	[ -x .venv/bin/python ] || $(UV) venv --quiet --clear --python "$(PYTHON)" .venv; \
	$(UV) pip sync --quiet --compile-bytecode --require-hashes --python .venv/bin/python .bootstrap/requirements.txt; \
	$(UV) pip install --quiet --no-deps --python .venv/bin/python --editable .; \
	touch $@

# What only the demonstration needs goes on top, from the same lock. The next change of the lock takes it away again.
.venv/.leak: $(ENV)
	@echo "Installing what docs/leak/leak.py needs besides ..."
	@$(LIKE_PIP); set -e; \
	$(UV) export --frozen --quiet --no-emit-project --only-group leak --output-file .bootstrap/leak.txt; \
	$(UV) pip install --quiet --compile-bytecode --require-hashes --python .venv/bin/python \
		--requirements .bootstrap/leak.txt; \
	touch $@

# Superset wants other versions of what gemel needs, so it has an environment of its own.
.bootstrap/superset/.complete: docs/superset/requirements.txt $(ENV)
	@echo "Installing Superset into .bootstrap/superset ..."
	@$(LIKE_PIP); set -e; \
	$(UV) venv --quiet --clear --python "$(PYTHON)" .bootstrap/superset; \
	$(UV) pip sync --quiet --require-hashes --python .bootstrap/superset/bin/python $<; \
	touch $@

# Whoever has dbt-core 1.12 keeps it: gemel is installed from a wheel, and no version of dbt may change by that.
.bootstrap/dbt112/.complete: pyproject.toml $(ENV)
	@echo "Installing dbt-core 1.12 and gemel into .bootstrap/dbt112 ..."
	@$(LIKE_PIP); set -e; \
	$(UV) venv --quiet --clear --seed --python "$(PYTHON)" .bootstrap/dbt112; cd .bootstrap/dbt112; \
	dbts() { bin/python -m pip freeze 2>/dev/null | grep -iE "^(dbt|metricflow)"; }; \
	../../$(UV) pip install --quiet --python bin/python \
		dbt-core==1.12.0 dbt-core-experimental-parser==2.0.0a4 dbt-duckdb; \
	dbts > before.txt; \
	bin/python -m pip wheel --quiet --no-deps --wheel-dir . ../..; bin/python -m pip install --quiet gemel-*.whl; \
	dbts > after.txt; diff before.txt after.txt; \
	bin/python -m pip install --quiet --no-deps --editable ../..; \
	touch .complete

# With --target, pip needs neither ensurepip nor a Python that it may write to; Debian's has neither.
.bootstrap/uv-$(UV_VERSION)/bin/uv:
	@"$(PYTHON)" -c "$(SUITS)" 2>/dev/null || { \
		echo "gemel needs Python 3.11, 3.12 or 3.13: install one, or name it: make PYTHON=/path/to/python3.12" >&2; \
		exit 1; }
	@"$(PYTHON)" -m pip --version >/dev/null 2>&1 || { \
		echo "$(PYTHON) has no pip: install it (Debian: apt install python3-pip), or name a Python that has it:" \
			"make PYTHON=/path/to/python3.12" >&2; \
		exit 1; }
	@rm -rf .bootstrap/uv-$(UV_VERSION)
	@PIP_USER=0 PIP_REQUIRE_VIRTUALENV=0 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore \
		"$(PYTHON)" -m pip install --quiet --no-deps --only-binary :all: \
		--target .bootstrap/uv-$(UV_VERSION) uv==$(UV_VERSION)
