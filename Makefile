# make demo, make test: each sets up what is missing. PYTHON=python3.12 chooses another interpreter.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# How many processes share the tests.
TEST_WORKERS ?= 2

.PHONY: help demo test short-suite truth fault-soak bench peers lint types format clean
.DEFAULT_GOAL := help

help:
	@echo "make demo        backtest and sweep of the example strategy over the bundled candles"
	@echo "make test        the tests"
	@echo "make short-suite import, demo, recorded trades and a sweep on a base install: PYTHON=python3.13 VENV=.venv-3.13"
	@echo "make fault-soak  writers of candles killed 200 times, sweeps 20 times"
	@echo "make lint types  style, format and types"
	@echo "make bench       benchmarks, JSON on their last lines"
	@echo "make peers       other engines on the same work, each in an environment of its own"
	@echo "make truth       how often the guards against overfitting are right, on 1,000 markets; twenty minutes"
	@echo "make clean       forget the environment and every cache"

demo: $(VENV)/.demo
	$(BIN)/bk demo

test: $(VENV)/.dev
	$(BIN)/bk warmup  # once, before several processes start
	$(BIN)/python -m pytest -q -n $(TEST_WORKERS) --dist loadgroup

short-suite: $(VENV)/.short
	$(BIN)/python -c "import bkapi; bkapi.Backtest, bkapi.Sweep, bkapi.Walker"
	$(BIN)/bk demo --out build/demo
	$(BIN)/python -m pytest -q tests/golden/test_trades_golden.py -k "not all_that"
	$(BIN)/python -m pytest -q tests/bkapi/test_parameter_sweep.py -k "row_is_the_backtest and bracket"

fault-soak: $(VENV)/.dev
	$(BIN)/python -m pytest -q -m soak tests/faults
	BK_SWEEP_KILLS=20 $(BIN)/python -m pytest -q tests/faults/test_sweep_killed.py

bench: $(VENV)/.dev
	$(BIN)/python benchmarks/single.py
	$(BIN)/python benchmarks/engine.py
	$(BIN)/python benchmarks/ideas.py
	$(BIN)/python benchmarks/reports.py
	$(BIN)/python benchmarks/store.py
	$(BIN)/python benchmarks/distributed.py

peers: $(VENV)/.dev
	$(BIN)/python benchmarks/peers/run.py

truth: $(VENV)/.dev
	$(BIN)/python -m tests.bkapi.planted_truth 200

lint: $(VENV)/.dev
	$(BIN)/ruff check bkcore bkapi tests benchmarks examples
	$(BIN)/ruff format --check bkcore bkapi tests benchmarks examples

types: $(VENV)/.dev
	$(BIN)/mypy

format: $(VENV)/.dev
	$(BIN)/ruff format bkcore bkapi tests benchmarks examples
	$(BIN)/ruff check --fix bkcore bkapi tests benchmarks examples

clean:
	rm -rf $(VENV) .venv-* .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist bk-demo benchmarks/peers/.environments

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version.split()[0] + ": make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[charts]'
	@touch $@

$(VENV)/.short: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e . pytest hypothesis
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev,charts,live,distributed,search]'
	@touch $@
