# Two commands are all a newcomer needs: `make demo` and `make test`. Each does its own set-up.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.ready
PROVE_MESSAGES ?= 20000
API_EXAMPLES   ?= 50
FUZZ_SECONDS   ?= 60
SOAK_CONNECTIONS ?= 2000
SOAK_SECONDS   ?= 300
PROVE_KILLS    ?= 10

.PHONY: help setup demo lint format test npm exim tls check bench fuzz api soak prove lock clean

help:            ## what can be made here
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*##/\t/' | expand -t 12

setup: $(STAMP)  ## prepare .venv from the lock file (nothing to do when that is done)

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Postroad needs Python 3.11 or later; try: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	@echo "Setting up .venv (a minute or so, once) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(STAMP)

demo: setup      ## a whole mail world on localhost, with a day of mail behind it; opens on the console
	@$(BIN)/postroad demo $(DEMO_ARGS)

format: setup    ## put the code in the house's format
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

lint: setup      ## format, lint, types, the direction of imports
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: setup      ## every suite that can run here, on both stores; says what it skipped and why
	$(BIN)/pytest $(PYTEST_ARGS)

npm: .cache/npm/.ready  ## packages from npm that some tests use (needs node and npm; never shipped)

.cache/npm/.ready: tests/interop/npm/package.json tests/interop/npm/package-lock.json
	@mkdir -p .cache/npm && cp $^ .cache/npm/
	@npm ci --prefix .cache/npm --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

exim: .cache/exim/.ready  ## Exim for some tests, unpacked from Debian's packages (needs apt-get; root, to be of use)

.cache/exim/.ready: .ci/exim
	@.ci/exim .cache/exim
	@touch $@

tls: setup       ## testssl.sh examines our TLS: two or three minutes
	POSTROAD_TLS=1 $(BIN)/pytest -n 2 tests/interop/test_testssl.py

check: lint test ## what must be green before a change lands

bench: setup     ## our figures beside Postfix's, in one run, on a journaled file system (needs root)
	$(BIN)/python -m bench $(BENCH_ARGS)

fuzz: setup      ## each fuzz target for FUZZ_SECONDS (default 60), guided by coverage; FUZZ_ARGS="--target NAME --keep"
	$(BIN)/python -m tests.fuzz --seconds $(FUZZ_SECONDS) $(FUZZ_ARGS)

api: setup       ## schemathesis against the HTTP API: API_EXAMPLES (default 50) random requests for each operation
	POSTROAD_API_EXAMPLES=$(API_EXAMPLES) $(BIN)/pytest -n 0 -s tests/unit/web/api/test_schemathesis.py

soak: setup      ## SOAK_CONNECTIONS (2000) hostile ones for SOAK_SECONDS (300) beside people: memory, delays, nothing lost
	$(BIN)/python -m tests.prove.soak --connections $(SOAK_CONNECTIONS) --seconds $(SOAK_SECONDS) $(SOAK_ARGS)

prove: setup     ## 20,000 messages, and again with ten SIGKILLs: nothing lost, nothing doubled unexcused
	POSTROAD_PROVE_MESSAGES=$(PROVE_MESSAGES) POSTROAD_PROVE_KILLS=$(PROVE_KILLS) $(BIN)/pytest -n 0 -s tests/prove

lock:            ## write requirements.lock anew (needs uv)
	uv pip compile pyproject.toml --group dev --extra postgres --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" -o requirements.lock

clean:           ## remove what make made
	rm -rf $(VENV) .cache .demo .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
