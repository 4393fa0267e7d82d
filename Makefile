# quickstart  the main job on the embedded model: checkpoint to published INT8 artifact
# check       style, types, import contracts
# test        check, then every test that is not slow (under 10 minutes on 2 cores)
# test-all    the slow ones too: full SQuAD sets where ../shared is there
# test-avx2   tests marked avx2 as an x86 without VNNI runs them: on one, or emulated by qemu-user
# fuzz        parsers on changed bytes, for FUZZ_SECONDS (60); .ci/run does it too
# site        docs/ as a site, in runs/site
# style       format and mend what can be mended
# generate    what is made from the settings' models: options of commands, their docs, the schema of recipes

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Before a terminal pip shows its own bars; in a job's log the lines below have to do.
QUIET := $(shell test -t 2 || echo --quiet)
PIP := $(BIN)/python -m pip install $(QUIET) --disable-pip-version-check -c constraints.txt
WORK ?= runs

.PHONY: quickstart check test test-all test-avx2 fuzz site style generate clean

quickstart: $(VENV)/.run
	@echo "3 of 3: running recipes/quickstart.yaml (a minute or so)"
	$(BIN)/quantkit run recipes/quickstart.yaml --work $(WORK)/quickstart

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: check
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow"

test-all: check
	$(BIN)/python -m pytest -n 2 --dist loadfile

# Only files with such tests are opened: importing all of them takes minutes in an emulator.
test-avx2: $(VENV)/.dev
	prefix="$$(.ci/avx2/prefix $(BIN)/python)" && \
	$$prefix $(BIN)/python -m pytest -m "avx2 and not real" $$(grep -rlw "mark.avx2" --include "test_*.py" tests)

FUZZ_SECONDS ?= 60
FUZZ_SEED ?= 0

fuzz: $(VENV)/.dev
	FUZZ_SECONDS=$(FUZZ_SECONDS) FUZZ_SEED=$(FUZZ_SEED) $(BIN)/python -m pytest -m fuzz tests/fuzz

site: $(VENV)/.dev
	$(BIN)/zensical build --strict
	@echo "runs/site/index.html"

style: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

generate: $(VENV)/.dev
	$(BIN)/python -m quantkit.cli.options.generate

clean:
	rm -rf $(VENV) runs registry build dist *.egg-info

$(VENV)/.run: setup.cfg constraints.txt
	@echo "1 of 3: making $(VENV)"
	$(PYTHON) -m venv $(VENV)
	@echo "2 of 3: installing quantkit with torch, transformers and onnxruntime (1.5 GB, some minutes)"
	$(PIP) -e ".[export,auto]"
	touch $@

$(VENV)/.dev: $(VENV)/.run
	$(PIP) -e ".[export,auto,dev]"
	touch $@
