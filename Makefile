# Every target does its own set-up into .venv and is cheap the second time. `make help` lists them.
# Tools are called as `.venv/bin/python -m …` by relative path, so a checkout folder with spaces works.

.DEFAULT_GOAL := help
SHELL := /bin/sh
PY := .venv/bin/python
GEN_PY := .venv-gen/bin/python
BUF := npx --yes @bufbuild/buf@1.75.0
ROOTS := proto clients coordinator agents
export PYTHONUNBUFFERED := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Tests start hundreds of interpreters: without bytecode each compiles again what it imports.
export PYTHONDONTWRITEBYTECODE :=

# The interpreter that .venv is made with; override with `make setup PYTHON=/path/to/python`.
PYTHON ?=

DEMO_ARGS ?=
SERVE_ARGS ?=
BENCH_ARGS ?=
STAGES_ARGS ?=
TRICKS_ARGS ?=
SHARED_MEMORY_ARGS ?=
# The results that `make bench-page` shows; without any, those that the page shows already.
RESULT ?= $(shell sed -n 's/^<!-- results:begin \(.*\) -->$$/\1/p' docs/benchmarks.md)
PYTEST_ARGS ?=
SEEDS ?= 2000
SIMULATE_ARGS ?=
ROUNDS ?= 20
CRASH_ARGS ?=

FAST := not slow and not torch and not kafka
SLOW := slow and not torch and not kafka

##@ Use

demo: .venv/.demo-installed ## real bars in, traced fills out (DEMO_ARGS="--json")
	@$(PY) -m bellwire.cli demo $(DEMO_ARGS)

serve: .venv/.demo-installed ## start a coordinator (SERVE_ARGS="--listen 127.0.0.1:7400")
	@$(PY) -m bellwire.cli serve $(SERVE_ARGS)

##@ Develop

setup: .venv/.dev-installed ## create .venv with everything the tests need

test: .venv/.dev-installed ## the fast suite, minutes (PYTEST_ARGS="-k batch")
	@$(PY) -m pytest -m "$(FAST)" $(PYTEST_ARGS)

test-torch: .venv/.torch-installed ## what needs torch: training (installs it, gigabytes)
	@$(PY) -m pytest -m torch $(PYTEST_ARGS)

# pytest ends with status 5 when no test was selected; only here that is not a failure.
test-ci: .venv/.dev-installed ## the slow rest that continuous integration adds
	@$(PY) -m pytest -m "$(SLOW)" $(PYTEST_ARGS) || { rc=$$?; test $$rc -eq 5; }

test-all: .venv/.dev-installed ## every test; those whose service is absent skip
	@$(PY) -m pytest $(PYTEST_ARGS)

bench: .venv/.bench-installed bench-peers ## latency and throughput beside peers (BENCH_ARGS="--quick")
	@$(PY) tests/benchmarks/run.py $(BENCH_ARGS)

stages: .venv/.dev-installed ## where a message's microseconds go (STAGES_ARGS="--quick")
	@$(PY) tests/benchmarks/stages.py $(STAGES_ARGS)

tricks: .venv/.dev-installed ## the usual tricks, one at a time, with and without (TRICKS_ARGS="--list")
	@$(PY) tests/benchmarks/tricks.py $(TRICKS_ARGS)

shared-memory: .venv-shared-memory/.installed ## large columns over iceoryx2, a socket, the bus
	@.venv-shared-memory/bin/python tests/benchmarks/shared_memory.py $(SHARED_MEMORY_ARGS)
# A peer that cannot be installed is missing from the tables, with the reason; it fails nothing.
bench-peers: ## the environments of peers whose pins differ from ours (autogen, slim, litserve)
	@for name in $(PEERS_APART); do \
	  $(MAKE) -s --no-print-directory .venv-bench-$$name/.installed \
	    || echo "!!! peer $$name is not installed: the tables will say why" >&2; done

bench-page: .venv/.dev-installed ## docs/benchmarks.md and its plots from results (RESULT="benchmarks/results/….json …")
	@$(PY) tests/benchmarks/run.py --markdown $(RESULT)

kafka-jars: .venv/.dev-installed ## fetch Apache Kafka for the tests, once, into the user's cache (Java and Maven)
	@$(PY) -m bellwire.testing.kafka --fetch

kafka: .venv/.dev-installed ## run a Kafka broker on 127.0.0.1:9092 until Ctrl-C (KAFKA_DATA=folder)
	@$(PY) -m bellwire.testing.kafka --port 9092 --data "$(KAFKA_DATA)"

cluster: .venv/.dev-installed ## coordinators on loopback, with Kafka and Redis, until Ctrl-C (GROUPS="orders=orders.>,fills.> rest=")
	@$(PY) -m bellwire.testing.cluster --groups "$(GROUPS)"

simulate: .venv/.dev-installed ## the simulation, seed by seed (SEEDS=10000, SIMULATE_ARGS="--seed 7 --verbose")
	@$(PY) tests/simulation/run.py --seeds $(SEEDS) $(SIMULATE_ARGS)

crash: .venv/.dev-installed ## kill real processes and check their history (ROUNDS=200)
	@$(PY) tests/crash/run.py --rounds $(ROUNDS) $(CRASH_ARGS)

lint: .venv/.dev-installed ## ruff, layer contracts, buf lint
	@$(MAKE) --no-print-directory --keep-going ruff-check ruff-format layers buf-lint

ruff-check:
	@echo "==> ruff check"
	@$(PY) -m ruff check .

ruff-format:
	@echo "==> ruff format --check"
	@$(PY) -m ruff format --check .

layers:
	@echo "==> import-linter"
	@$(PY) -c "from importlinter.cli import lint_imports_command as main; main()" --no-cache --no-logo

buf-lint:
	@if command -v npx >/dev/null 2>&1; then \
	  echo "==> buf lint"; $(BUF) lint; \
	else \
	  echo "!!! buf lint NOT RUN: npx is absent. Install nodejs and npm to check the .proto files." >&2; \
	  test -z "$$CI"; \
	fi

types: .venv/.dev-installed ## mypy --strict on the four roots, and the tests
	@echo "==> mypy"
	@$(PY) -m mypy $(ROOTS) tests

##@ The contract

gen: .venv-gen/.installed ## generate Python code from proto/bellwire/**/*.proto
	@echo "==> generating code from $$(find proto/bellwire -name '*.proto' | wc -l) .proto files"
	@rm -rf .venv-gen/out && mkdir .venv-gen/out
	@PATH="$$PWD/.venv-gen/bin:$$PATH" $(GEN_PY) -m grpc_tools.protoc -Iproto \
	  --python_out=.venv-gen/out --grpc_python_out=.venv-gen/out \
	  --mypy_out=quiet:.venv-gen/out --mypy_grpc_out=quiet:.venv-gen/out \
	  $$(find proto/bellwire -name '*.proto' | LC_ALL=C sort)
	@grep -rL --include='*_pb2_grpc.py' Servicer .venv-gen/out | while read -r empty; do \
	  rm -f "$$empty" "$${empty}i"; done
	@find proto/bellwire \( -name '*_pb2*.py' -o -name '*_pb2*.pyi' \) | while read -r old; do \
	  test -e ".venv-gen/out/$${old#proto/}" || rm -f "$$old"; done
	@find .venv-gen/out -type d -name 'v[0-9]*' | while read -r dir; do \
	  package=$${dir#.venv-gen/out/}; : > "$$dir/py.typed"; \
	  echo "\"\"\"Generated from proto/$$package/*.proto by \`make gen\`.\"\"\"" > "$$dir/__init__.py"; done
	@cp -R .venv-gen/out/. proto/

gen-check: gen ## fail when the committed generated code is not what `make gen` makes
	@git diff --exit-code -- proto || { echo "!!! generated code is stale: run make gen, commit proto/" >&2; exit 1; }
	@test -z "$$(git ls-files --others --exclude-standard -- proto)" || { \
	  echo "!!! not committed:" >&2; git ls-files --others --exclude-standard -- proto >&2; exit 1; }

##@ Housekeeping

# Needs uv (`python -m pip install uv`): the one resolver whose output names no registry host.
UV ?= uv
PINS := demo dev gen bench bench-autogen bench-slim bench-litserve shared_memory
pins: ## resolve requirements/*.in into hash-pinned *.txt (UPGRADE=--upgrade)
	@for name in $(PINS); do echo "==> requirements/$$name.txt"; \
	  $(UV) pip compile --quiet --generate-hashes --universal --no-header --python-version 3.11 \
	    $(UPGRADE) requirements/$$name.in -o requirements/$$name.txt || exit 1; done

clean: ## remove .venv, .venv-gen, caches and build output
	rm -rf .venv .venv-gen .venv-shared-memory .venv-bench-autogen .venv-bench-slim .venv-bench-litserve dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage
	find $(ROOTS) tests -name __pycache__ -type d -exec rm -rf {} +

help: ## this list
	@awk 'BEGIN {FS = ":.*## "} \
	  /^##@/ {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile

# ---------------------------------------------------------------- set-up, kept by stamp files

# The editable install holds this folder's path: in a checkout that was moved it is made anew.
ifneq ($(shell cat .venv/.checkout 2>/dev/null),$(shell pwd -P))
.venv/.created: checkout-moved
endif
checkout-moved: ;

.venv/.created:
	@sh requirements/make_venv.sh .venv "$(PYTHON)"
	@pwd -P > .venv/.checkout
	@touch $@

.venv/.demo-installed: requirements/demo.txt pyproject.toml .venv/.created
	@$(PY) requirements/install.py requirements/demo.txt
	@$(PY) requirements/install.py --project
	@touch $@

.venv/.dev-installed: requirements/dev.txt .venv/.demo-installed
	@$(PY) requirements/install.py requirements/dev.txt
	@touch $@

# Unhashed: requirements/torch.in says why.
.venv/.torch-installed: requirements/torch.txt .venv/.dev-installed
	@echo "==> installing requirements/torch.txt: gigabytes, minutes"
	@$(PY) -m pip install --quiet --progress-bar off --requirement requirements/torch.txt
	@touch $@

.venv/.bench-installed: requirements/bench.txt .venv/.dev-installed
	@$(PY) requirements/install.py requirements/bench.txt
	@touch $@

.venv-shared-memory/.installed: requirements/shared_memory.txt pyproject.toml
	@sh requirements/make_venv.sh .venv-shared-memory "$(PYTHON)"
	@.venv-shared-memory/bin/python requirements/install.py requirements/shared_memory.txt
	@.venv-shared-memory/bin/python requirements/install.py --project
	@touch $@

# What pip said stays in install.log: its end is the reason that the benchmark gives for a missing peer.
PEERS_APART := autogen slim litserve
PEER_SECONDS_MAX := 300
.venv-bench-%/.installed: requirements/bench-%.txt
	@sh requirements/make_venv.sh .venv-bench-$* "$(PYTHON)"
	@echo "==> installing requirements/bench-$*.txt into .venv-bench-$*"
	@PIP_RETRIES=1 PIP_TIMEOUT=15 timeout $(PEER_SECONDS_MAX) .venv-bench-$*/bin/python -m pip install \
	  --require-hashes --requirement requirements/bench-$*.txt >.venv-bench-$*/install.log 2>&1
	@touch $@

.venv-gen/.installed: requirements/gen.txt
	@sh requirements/make_venv.sh .venv-gen "$(PYTHON)"
	@$(GEN_PY) requirements/install.py requirements/gen.txt
	@touch $@

.PHONY: checkout-moved demo serve kafka kafka-jars cluster setup test test-torch test-ci test-all bench bench-peers bench-page stages tricks shared-memory simulate crash lint ruff-check ruff-format layers buf-lint types gen gen-check pins clean help
