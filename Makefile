# Every target works alone on a fresh clone: Python 3.11 or newer and make are all it takes.
PYTHON ?= python3
WORKERS ?= auto
# The tests that are run, as pytest's -m reads it: empty runs all of them.
SELECT ?= not slow
BIN := .venv/bin
READY := .venv/.ready
SUITE := .venv-peers/suite

.DEFAULT_GOAL := help
.PHONY: help setup demo serve test test-slow test-clients test-peers coverage-table bench lint types format docs clean

help:  ## what there is
	@sed -n 's/^\([a-z-]*\):.*## /\1 /p' Makefile | awk '{ name = $$1; sub(/^[a-z-]+ /, ""); printf "make %-15s%s\n", name, $$0 }'

setup: $(READY)  ## .venv with everything in it; the other targets do this by themselves

$(READY): requirements.txt constraints.txt VERSION graphspec/pyproject.toml server/pyproject.toml client/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12")'
	@echo "Setting up .venv from requirements.txt (the first time takes a minute or two) ..."
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt -c constraints.txt
	@touch $@ && echo "Ready: .venv"

demo: $(READY)  ## train on real images through the service, differentiate ResNet-50; under two minutes
	@$(BIN)/python examples/demo.py

serve: $(READY)  ## the service on http://127.0.0.1:8000, its docs at /docs
	@$(BIN)/graphspec-server

test: lint types  ## lint, types and the test suite
	@OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --maxprocesses 8 --dist worksteal -m "$(SELECT)"

test-slow: SELECT = slow
test-slow: test  ## the long sets that `make test` leaves out

test-peers: $(SUITE)/.ready  ## compare with PyTorch and JAX; installs them, in .venv-peers
	@OMP_NUM_THREADS=1 $(SUITE)/bin/python -m pytest -n 0 tests/peers

$(SUITE)/.ready: requirements.txt requirements-peers.txt constraints.txt
	@$(PYTHON) -m venv $(SUITE)
	@$(SUITE)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.txt -r requirements-peers.txt -c constraints.txt
	@touch $@

coverage-table: $(READY)  ## run every derivative through the other systems (installed in .venv-peers), write the tables
	@OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python benchmarks/coverage/run.py

# What is compared, with commas between; empty means all of them.
WORK ?=
PEERS ?=
comma := ,
listed = $(if $(2),$(1) $(subst $(comma), ,$(2)))

bench: $(READY)  ## time workloads beside other systems: WORK=W2,W3 PEERS=torch,ort,jax,autograd,reference
	@$(BIN)/python benchmarks/bench/run.py $(call listed,--work,$(WORK)) $(call listed,--peers,$(PEERS))

CLIENTS := .venv-clients

test-clients: $(CLIENTS)/.ready  ## the protocols with clients that need an environment of their own: KServe's, JAX
	@OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(CLIENTS)/bin/python -m pytest tests/protocols

$(CLIENTS)/.ready: requirements-clients.txt VERSION graphspec/pyproject.toml server/pyproject.toml client/pyproject.toml
	@echo "Setting up $(CLIENTS) from requirements-clients.txt ..."
	@$(PYTHON) -m venv $(CLIENTS)
	@$(CLIENTS)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements-clients.txt
	@touch $@

lint: $(READY)  ## ruff: rules and format
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(READY)  ## mypy, strict
	@$(BIN)/mypy

format: $(READY)  ## let ruff mend what it can
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

docs: $(READY)  ## write docs/operators.md anew; a test fails when it is stale
	@$(BIN)/python tests/operator_page.py

clean:  ## remove what the other targets made, .venv included
	@rm -rf .venv .venv-clients .venv-peers demo_output .pytest_cache .mypy_cache .ruff_cache .hypothesis graphspec/dist server/dist client/dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
