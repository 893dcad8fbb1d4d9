# `make` alone lists the targets. Nothing but Python 3.11+ and make has to be there beforehand.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ROOT ?= ./demo-dataset
UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
export UV_FIND_LINKS

.DEFAULT_GOAL := help
.PHONY: help setup demo test check bench format clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /  make \1\t/' | expand -t 18

# uv installs in seconds; where it cannot be had, pip does the same in minutes.
define install
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv 2>/dev/null || true
	@if [ -x $(BIN)/uv ]; then $(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode -c constraints.txt -e "$(1)"; \
	else $(BIN)/python -m pip install --quiet -c constraints.txt -e "$(1)"; fi
endef

$(VENV)/.demo: pyproject.toml constraints.txt
	$(call install,.[ray])
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt
	$(call install,.[dev])
	@touch $@ $(VENV)/.demo

setup: $(VENV)/.dev ## make .venv with everything for developing (torch and models included)

demo: $(VENV)/.demo ## run the whole pipeline on made videos; VIDEOS=folder for your own, ROOT=… for another place
	@$(BIN)/internvid demo --root "$(ROOT)" $(if $(VIDEOS),--videos "$(VIDEOS)")

test: $(VENV)/.dev ## run all tests
	@$(BIN)/python -m pytest

check: $(VENV)/.dev ## ruff, mypy --strict and the architecture test
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python -m pytest -q tests/test_architecture.py

bench: $(VENV)/.dev ## measure; results are written down in benchmarks/README.md
	@$(BIN)/python benchmarks/engine_overhead.py

format: $(VENV)/.dev ## let ruff lay out the code
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

clean: ## delete .venv, caches and the demo data set
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis demo-dataset
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
