# Everything here has a plain command behind it; the README shows both.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DISTRIBUTED := $(VENV)/.distributed
SOURCE ?= generator:7
DEMO ?=
PORT ?= 3000
SESSIONS ?= 10000
DAYS ?= 250
STRIKES ?= 200
SOAK ?= 100

.PHONY: help demo test ui bench campaign machines lock notebooks docs clean
help:  ## List the commands
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

define install  # all that this lock file names, and nothing else
	@$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "Credence needs Python 3.11 or newer; this is " + sys.version'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes --compile-bytecode $(1)
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@$(BIN)/python -m compileall -q engine contracts assets pipelines
endef

$(STAMP): requirements.lock pyproject.toml
	$(call install,requirements.lock)
	@rm -f $(DISTRIBUTED)
	@touch $@

$(DISTRIBUTED): requirements-distributed.lock requirements.lock pyproject.toml
	$(call install,requirements-distributed.lock)
	@touch $(STAMP) $@

demo: $(STAMP)  ## Run the whole story on generated bars (SOURCE=lean:DIR for real ones)
	@$(BIN)/credence demo --source "$(SOURCE)"

ui: $(STAMP)  ## Open the Dagster UI on 127.0.0.1:3000 (DEMO=1: what the demo left)
	@$(if $(DEMO),CREDENCE_HOME=data/demo )$(BIN)/credence up --port $(PORT)

test: $(DISTRIBUTED)  ## Lint, types, import direction and all tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --num-workers 2
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

bench: $(STAMP)  ## Measure what the README states
	@$(BIN)/credence bench
	@$(BIN)/credence bench --against all

campaign: $(STAMP)  ## Faulted sessions (SESSIONS=N), planted bugs, struck processes (STRIKES=N), a soak (SOAK=N)
	@$(BIN)/credence campaign --sessions $(SESSIONS)
	@$(BIN)/credence campaign --mutations
	@$(BIN)/credence campaign --processes $(STRIKES)
	@$(BIN)/credence campaign --soak $(SOAK)
	@$(BIN)/python -m pytest -m campaign

machines: $(DISTRIBUTED)  ## Make 250 sessions x 2 symbols on PostgreSQL and Celery, compare (DAYS=N)
	@$(BIN)/python -m pipelines.distributed --sessions $(DAYS)

notebooks: $(STAMP)  ## Open the notebooks in Jupyter Lab on the desk's data home (DEMO=1: the demo's)
	@$(BIN)/uv pip install --quiet --python $(BIN)/python "jupyterlab>=4"
	@CREDENCE_HOME=$$(realpath -m $(if $(DEMO),data/demo,$${CREDENCE_HOME:-data})) $(BIN)/jupyter lab notebooks

lock:  ## Write the lock files anew from pyproject.toml
	$(BIN)/uv pip compile --quiet --no-emit-index-url --generate-hashes --group dev pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --quiet --no-emit-index-url --generate-hashes --group dev --group object-store --extra distributed \
		--constraints requirements.lock pyproject.toml -o requirements-distributed.lock

docs: $(STAMP)  ## Generate the pages of tables, signals and contracts
	@$(BIN)/python -m pipelines.documentation

clean:  ## Remove the environment and caches; data stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
