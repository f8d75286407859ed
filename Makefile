# ptkc: `make demo` and `make test` do all the set-up themselves; `make` alone says what there is.
#
#   PYTHON=python3.12   the CPython (3.11 or later, with a shared libpython) that the shared object is built for
#   VENV=.venv          where its virtual environment goes

PYTHON ?= python3
VENV ?= .venv

.DEFAULT_GOAL := help
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory
SHELL := /bin/sh

BIN := $(VENV)/bin
LIBRARY := ptkc/libptkc.so
SOURCES := $(wildcard native/*.c native/*.h native/*.py native/include/*.h)
SOFTHSM2 := $(firstword $(wildcard /usr/lib/softhsm/libsofthsm2.so /usr/lib/*/softhsm/libsofthsm2.so /usr/lib64/pkcs11/libsofthsm2.so))
PIP := $(BIN)/python -m pip -qq --disable-pip-version-check --no-input
PYTEST := $(BIN)/python -m pytest

.PHONY: help
help:
	@echo "ptkc: a software HSM behind PKCS#11"
	@echo
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1|\2/p' $(firstword $(MAKEFILE_LIST)) | awk -F'|' '{ printf "%-14s %s\n", $$1, $$2 }'

.PHONY: demo
demo: packages-demo $(LIBRARY) ## sign this repository's README with keys that never leave a token
	@$(BIN)/python examples/demo.py

.PHONY: test
test: packages-test $(LIBRARY) $(VENV)/tested ## everything that must hold: lint, our tests, the conformance suite on SoftHSM2 too
	@$(MAKE) lint
	PTKC_TEST_MODULE=$(SOFTHSM2) $(PYTEST) -q tests/conformance
	$(PYTEST) -q tests/conformance
	$(PYTEST) -q tests --ignore=tests/conformance

.PHONY: soak
soak: packages-test $(LIBRARY) $(VENV)/tested ## the long forms: writers, kills, forks, a killed server, fuzzing (three hours)
	PTKC_SOAK=1 $(PYTEST) -q -m soak tests --ignore=tests/conformance

.PHONY: bench
bench: packages-test $(LIBRARY) $(VENV)/tested ## measure beside SoftHSM2 and libcrypto, write docs/performance.md (20 minutes)
	$(BIN)/python bench/run.py
	$(BIN)/python bench/sms.py

.PHONY: lint
lint: packages-build $(LIBRARY) $(VENV)/tested ## ruff, mypy, layers, generated files
	$(BIN)/ruff check .
	$(BIN)/mypy --strict ptkc
	$(BIN)/python tests/layers.py
	$(BIN)/python native/constants.py --check

.PHONY: build
build: packages-build $(LIBRARY) ## the shared object alone
	@echo "$(abspath $(LIBRARY))"

.PHONY: wheel
wheel: packages-build $(VENV)/made ## a wheel that carries the shared object, in dist/
	$(PIP) wheel --no-deps --wheel-dir dist .

.PHONY: clean
clean: ## remove what was built
	rm -rf .venv* build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .caches demo-*
	rm -f ptkc/*.so ptkc/*.o
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: packages-build packages-demo packages-test
packages-build packages-demo packages-test: packages-%:
	@.ci/system-packages $* "$(PYTHON)"

# The virtual environment: once, and again when what it is made from changes.
$(VENV)/made: pyproject.toml
	@echo "making $(VENV) for $$($(PYTHON) --version)"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(PIP) install --editable .
	@# The provider writes no bytecode: without it, each start would compile the package.
	@$(BIN)/python -m compileall -q ptkc
	@touch $@

$(VENV)/tested: $(VENV)/made
	@echo "installing what the tests need"
	@$(PIP) install --editable '.[test]'
	@$(BIN)/python tests/suites/run_suite.py fetch
	@touch $@

# pip has just built it in a new environment; then there is nothing left to do.
$(LIBRARY): $(VENV)/made $(SOURCES)
	@if [ ! -s $@ ] || [ -n "$$(find $(SOURCES) -newer $@)" ]; then \
	  echo "building $@"; $(BIN)/python native/build.py >/dev/null; \
	fi
	@touch $@
