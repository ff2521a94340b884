# Every target installs what it needs into .venv, once; running it again costs nothing.
# Needed beforehand: make and Python 3.11 or newer.

SHELL := /bin/sh
BIN := .venv/bin
# One more than there are processors, as some tests wait.
WORKERS = $(shell $(BIN)/python -c 'import os; print((os.cpu_count() or 1) + 1)')
REQUIREMENTS := .ci/requirements
LOAD := $(addprefix benchmarks/,telephone_load.py browser_load.py peers.py calibrate.py)
# Compiled modules are kept, or else each process that the tests start compiles ours again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help run test test-fast static bench bench-peers check diagrams requirements audit clean models tools python
.NOTPARALLEL:
.DEFAULT_GOAL := help

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: .venv/.run models ## install everything, then serve http://localhost:3001/
	@exec $(BIN)/vantum serve

# A file's tests run in one process, since they share what is dear to make. (By groups, pytest-xdist 3.8 cannot do
# that with pytest 9.2: https://github.com/pytest-dev/pytest-xdist/issues/1386.)
test: .venv/.test tools models static ## install everything, then check and test
	@rm -f .coverage .coverage.*
	@$(BIN)/coverage run -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report --skip-covered
	@for package in machines protocol orchestrator; do \
	  $(BIN)/coverage report --include="$$package/*" --fail-under=90 >/dev/null \
	    || { echo "Less than 90 % of $$package/ is covered by the tests."; exit 1; }; \
	done

test-fast: .venv/.test static ## check, and run the tests that take little time
	@$(BIN)/python -m pytest --quiet --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder \
	  -m "not slow and not repeats and not models and not browser and not node and not postgres and not nginx"

static: .venv/.test
	@$(BIN)/ruff format --check --quiet . || { echo "Not formatted: run $(BIN)/ruff format ."; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/vantum diagrams --check

bench: .venv/.test models ## run the benchmarks, but for those of load
	@for each in $(filter-out $(LOAD),$(wildcard benchmarks/*.py)); do \
	  echo "$$each"; $(BIN)/python "$$each" || exit 1; \
	done

# Takes about three hours, needs two idle cores, and installs Pipecat and LiveKit Agents beside the project (1 GB).
bench-peers: .venv/.test models ## measure calls on one core, beside Pipecat and LiveKit Agents
	@$(BIN)/python benchmarks/pieces.py
	@$(BIN)/python benchmarks/browser_load.py --repeats 3 --until-broken
	@$(BIN)/python benchmarks/peers.py

check: .venv/.run ## visit every configuration of the machines, write docs/check.md
	@$(BIN)/vantum check --report docs/check.md

diagrams: .venv/.run ## draw the machines into diagrams/, list events and public names in docs/
	@$(BIN)/vantum diagrams
	@$(BIN)/python -m protocol docs/protocol.md
	@$(BIN)/python -m orchestrator.cli.interface docs/interface.md

requirements: | python ## refresh the pinned packages from pyproject.toml
	@$(PYTHON) -m venv .venv/resolver
	@.venv/resolver/bin/pip install --quiet --disable-pip-version-check uv
	@for each in run test; do \
	  extras="--extra local"; [ $$each = run ] || extras="$$extras --extra dev"; \
	  .venv/resolver/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header \
	    --no-emit-index-url --no-annotate $$extras pyproject.toml $(REQUIREMENTS)/build.in \
	    --output-file $(REQUIREMENTS)/$$each.txt || exit 1; \
	done

audit: | python ## ask for known vulnerabilities of the pinned packages (needs the internet)
	@$(PYTHON) -m venv .venv/auditor
	@.venv/auditor/bin/pip install --quiet --disable-pip-version-check pip-audit
	@.venv/auditor/bin/pip-audit --strict --disable-pip --require-hashes --requirement $(REQUIREMENTS)/run.txt

clean: ## remove .venv and everything else that was made here (the models in ~/.cache/vantum stay)
	@rm -rf .venv benchmarks/environments .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache build dist
	@find . -name __pycache__ -prune -exec rm -rf {} + -o -name node_modules -prune -exec rm -rf {} +

.venv/.run .venv/.test: .venv/.%: $(REQUIREMENTS)/%.txt pyproject.toml | python
	@$(PYTHON) .ci/install.py $*
	@touch $@

models: ; @$(BIN)/vantum models fetch

tools: ; @.ci/tools

# The first Python on the path that is new enough, asked for only when something must be installed.
PYTHON = $(or $(shell for each in python3 python3.14 python3.13 python3.12 python3.11; do \
  $$each -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null && echo $$each && break; done))
python:
	@[ -n "$(PYTHON)" ] || { echo "Vantum needs Python 3.11 to 3.14 as python3 on the PATH; found: $$(python3 --version 2>&1)"; exit 1; }
