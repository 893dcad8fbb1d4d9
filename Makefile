# `make` alone lists the targets. Nothing but Python 3.11+ and make has to be there beforehand.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ROOT ?= ./demo-dataset
UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
export UV_FIND_LINKS

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-browser check bench bench-scan bench-clips bench-shots bench-memory bench-throughput bench-endpoint bench-gpu soak-tests soak-hostile soak-chaos format clean

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

test: $(VENV)/.dev ## run the tests, on two processes (many wait for Ray); `.venv/bin/python -m pytest` runs all, one by one
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not soak"

soak-tests: $(VENV)/.dev ## run the tests that take minutes each: everything killed, the bad days of a cluster (ten minutes)
	@$(BIN)/python -m pytest -m soak

test-browser: $(VENV)/.dev ## the tests that need Debian's chromium and chromium-driver; without them they are skipped, and say so
	@$(BIN)/python -m pytest -rs tests/browser

check: $(VENV)/.dev ## ruff, mypy --strict and the architecture test
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python -m pytest -q tests/test_architecture.py

bench: $(VENV)/.dev ## measure; results are written down in benchmarks/README.md
	@$(BIN)/python benchmarks/engine_overhead.py

bench-scan: $(VENV)/.dev ## measure what a scan costs over a plain decode, beside PySceneDetect (makes footage first: ten minutes)
	@nice -n 5 $(BIN)/python benchmarks/scan_cost.py

bench-clips: $(VENV)/.dev ## measure what clips cost over a plain decode, beside PySceneDetect (makes footage first: a quarter of an hour)
	@nice -n 5 $(BIN)/python benchmarks/clip_cost.py --peer

bench-memory: $(VENV)/.dev ## measure the memory of scanning and cutting, 1 minute and 2 hours, 1080p and 4K (an hour, 2 GB of disk)
	@nice -n 5 $(BIN)/python benchmarks/scan_memory.py

soak-hostile: $(VENV)/.dev ## run a thousand broken and hostile videos through the stages (minutes)
	@nice -n 5 $(BIN)/python benchmarks/soak_hostile.py

soak-chaos: $(VENV)/.dev ## kill workers, nodes and drivers of a run of 200 partitions at random (a quarter of an hour; SEED=… for another)
	@nice -n 5 $(BIN)/python benchmarks/soak_chaos.py $(if $(SEED),--seed $(SEED))

bench-throughput: $(VENV)/.dev ## share of 16 workers' time that goes into work; then 10,000 partitions through six stages that do nothing
	@nice -n 5 $(BIN)/python benchmarks/throughput.py steady
	@nice -n 5 $(BIN)/python benchmarks/throughput.py gpus
	@nice -n 5 $(BIN)/python benchmarks/throughput.py trivial

bench-status: $(VENV)/.dev ## how long `internvid status` takes over 100,000 partitions (makes 1.9 million names first)
	@$(BIN)/python benchmarks/status_at_scale.py

VIDEOS_WITH_TRUTH ?=
bench-shots: $(VENV)/.dev ## accuracy of the shot detectors; VIDEOS_WITH_TRUTH=folder with cuts_reference.json adds your own
	@$(BIN)/python benchmarks/shot_accuracy.py $(if $(VIDEOS_WITH_TRUTH),--folder "$(VIDEOS_WITH_TRUTH)" --peer)

bench-lists: $(VENV)/.dev ## measure how a list of a million clips becomes partitions (two minutes)
	@nice -n 5 $(BIN)/python benchmarks/list_partitioning.py

bench-speech: $(VENV)/.dev ## measure transcribing beside faster-whisper's batched pipeline, and its memory from a minute to five hours of sound
	@nice -n 5 $(BIN)/python benchmarks/speech.py overhead
	@nice -n 5 $(BIN)/python benchmarks/speech.py memory
	@nice -n 5 $(BIN)/python benchmarks/speech.py junk

bench-endpoint: $(VENV)/.dev ## measure what captions by an HTTP endpoint get out of a server that misbehaves (a minute)
	@$(BIN)/python benchmarks/endpoint.py

bench-gpu: $(VENV)/.dev ## measure models of true shapes on a GPU (tiny ones on the CPU where there is none)
	@$(BIN)/python benchmarks/gpu/models.py
	@$(BIN)/python benchmarks/gpu/transcribe.py

bench-report: $(VENV)/.dev ## what `internvid report` takes over ten million clips (makes tables first: two minutes, 1 GB of disk)
	@$(BIN)/python benchmarks/report_scale.py

bench-browse: $(VENV)/.dev ## how fast `internvid browse` answers over a million clips (makes tables first: two minutes, 1 GB of disk)
	@$(BIN)/python benchmarks/browse_scale.py

bench-ids: $(VENV)/.dev ## measure the leaving out of ten million ids (two minutes, 0.6 GB of memory)
	@nice -n 5 $(BIN)/python benchmarks/id_exclusion.py

bench-duplicates: $(VENV)/.dev ## precision and recall of near duplicates on 2,000 made clips (four minutes)
	@nice -n 5 $(BIN)/python benchmarks/duplicate_accuracy.py

bench-selections: $(VENV)/.dev ## time and memory of DIV and FLT over one and ten million clips (five minutes, 3 GB of memory)
	@nice -n 5 $(BIN)/python benchmarks/selection_scale.py --check
	@nice -n 5 $(BIN)/python benchmarks/selection_scale.py --rows 10000000

bench-shards: $(VENV)/.dev ## how fast shards are written, beside tar
	@nice -n 5 $(BIN)/python benchmarks/shards.py

format: $(VENV)/.dev ## let ruff lay out the code
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

clean: ## delete .venv, caches and the demo data set
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis demo-dataset
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
