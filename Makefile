# Every target sets itself up: all it needs is Python 3.11 or newer (with venv) and make.
#
#   VENV=DIR      where the environment is kept (default .venv)
#   PYTHON=PATH   the interpreter it is made with (default: the newest python3.11 .. python3.14 found)
#   ARGS='...'    handed on to pytest, for example: make scenarios ARGS='-k nested --mux fake'
#   WORKERS=N     processes that the tests are spread over (default 4: much of the live ones is waiting); scenarios, which are
#                 about time and wait for it, are one more at once than there are cores
#                 (for 'make mutants' the modules to mutate, for example: make mutants ARGS='guard decide')
#                 (for 'make bench' options of the first, for example: make bench ARGS='--rounds 3 --json')
#   REPEAT=N      how often 'make live' runs its suite (default 1)
#   JOBS=N        how many mutants are tried at once (default 2)

VENV ?= .venv
PYTHON ?=
ARGS ?=

BIN := $(VENV)/bin
AGENTS := .agents
READY := $(VENV)/.stamp-ready
MUTABLE := $(VENV)/.stamp-mutants
SWEPT := $(addprefix scenarios/test_,sweep.py pairs.py random_plans.py late_changes.py kill9_everywhere.py power_loss.py torn_files.py)
OPERATIONS ?= 10000
KINDS ?= process control
JOBS ?= 2
REPEAT ?= 1
WORKERS ?= 4
USABLE := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))

# What is compiled once is read by each of the many interpreters that tests start.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup scenarios sweep live transports test agents check format bench alike mutants clean

help:
	@echo "make scenarios   run every scenario: on the fake, and on live tmux where it is installed"
	@echo "make sweep       every fault at every call of every story, on all cores; takes long, see docs/sweeping.md"
	@echo "make live        what happens to real servers, REPEAT=N times, and a count of what that leaves behind"
	@echo "make transports  the live tests, scenarios and conformance, tmux asked by processes, then by one client"
	@echo "make test        run the toolkit's own tests"
	@echo "make agents      drive the real agents, against a model on the loopback; installs them with npm, see docs/agents.md"
	@echo "make check       formatting, lint and types, and that every test can be collected"
	@echo "make format      rewrite the code as 'make check' wants it"
	@echo "make bench       the benchmarks; takes a quarter of an hour, see docs/performance.md"
	@echo "make alike       ask the fake and live tmux 3.3a 10,000 things; takes half an hour, see docs/fake.md"
	@echo "make mutants     mutate the core and see that its tests notice; takes about an hour, see docs/mutants.md"
	@echo "make clean       remove the environment and every cache"
	@echo
	@echo "Each sets up $(VENV) first, once. ARGS='...' is handed on to pytest."

setup: $(READY)

scenarios: $(READY)
	@$(BIN)/pytest scenarios/ -n $$(($$(getconf _NPROCESSORS_ONLN) + 1)) --dist worksteal $(ARGS)

sweep: $(READY)
	@$(BIN)/pytest $(SWEPT) -q -n logical $(if $(filter --mux-sweep --mux-sweep=%,$(ARGS)),,--mux-sweep '*') $(ARGS)

live: $(READY)
	@PYTHONPATH=. $(BIN)/python tests/live_repeats.py --repeat $(REPEAT) -- -n $(WORKERS) $(ARGS)

# Each of the two ways in which tmux can be asked, throughout; what is left out is about changing from one to the other.
transports: $(READY)
	@for kind in $(KINDS); do \
		echo "SEAMRIPPER_TMUX_TRANSPORT=$$kind"; export SEAMRIPPER_TMUX_TRANSPORT=$$kind; \
		$(BIN)/pytest tests/backends -q -m live -n $(WORKERS) $(ARGS) && \
		$(BIN)/pytest scenarios/ -q -m "not sweep" --mux tmux --ignore scenarios/test_control_client.py -n $(WORKERS) $(ARGS) && \
		$(BIN)/seamripper conform --mux tmux || exit 1; \
	done

test: $(READY)
	@$(BIN)/pytest tests/ -n $(WORKERS) --dist worksteal $(ARGS)

agents: $(READY) $(AGENTS)/.stamp-agents
	@SEAMRIPPER_AGENTS=$(AGENTS) $(BIN)/pytest tests/agents $(ARGS)

# While types are checked, which keeps one core busy, every test is collected: what cannot be is found here, and it is compiled.
check: $(READY)
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@(told=$$($(BIN)/pytest --collect-only -qq 2>&1) || { echo "$$told"; exit 1; }) & collecting=$$!; \
		$(BIN)/mypy && $(BIN)/mypy tests; typed=$$?; \
		wait $$collecting && exit $$typed

format: $(READY)
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: $(READY)
	@$(BIN)/python tests/bench/bench_engine.py $(ARGS)
	@$(BIN)/python tests/bench/bench_dashboard.py
	@$(BIN)/python tests/bench/bench_shim.py
	@$(BIN)/python tests/bench/bench_scale.py
	@$(BIN)/python tests/bench/bench_transport.py

alike: $(READY)
	@SEAMRIPPER_SIDE_BY_SIDE=$(OPERATIONS) $(BIN)/pytest tests/backends/test_fake_against_live.py --timeout=0 $(ARGS)

# Every run begins anew: a verdict that was kept could be older than the tests.
mutants: $(MUTABLE)
	@names=$$($(BIN)/python tests/mutants/mutation_table.py names $(ARGS)) && rm -rf mutants && set -f && \
		$(BIN)/mutmut run --max-children $(JOBS) $$names
	@$(BIN)/python tests/mutants/mutation_table.py table $(ARGS)

clean:
	@if [ -e "$(VENV)/pyvenv.cfg" ]; then rm -rf "$(VENV)"; fi
	@rm -rf $(AGENTS) .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist mutants
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(AGENTS)/.stamp-agents: tests/agents/package.json
	@command -v npm >/dev/null || { echo "make: npm is needed to install the agents" >&2; exit 1; }
	@mkdir -p $(AGENTS) && cp tests/agents/package.json $(AGENTS)/package.json
	@npm install --prefix $(AGENTS) --no-audit --no-fund --loglevel=error
	@touch "$@"

$(MUTABLE): $(READY)
	@PIP_CONSTRAINT=constraints.txt PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/pip install --quiet -e '.[dev,mutants]'
	@touch "$@"

$(READY): pyproject.toml constraints.txt
	@python="$(PYTHON)"; \
	if [ -z "$$python" ]; then \
		for name in python3.14 python3.13 python3.12 python3.11 python3; do \
			if "$$name" -c "$(USABLE)" >/dev/null 2>&1; then python=$$name; break; fi; \
		done; \
	elif ! "$$python" -c "$(USABLE)" >/dev/null 2>&1; then \
		echo "make: $$python is no Python 3.11 or newer with the venv module" >&2; exit 1; \
	fi; \
	if [ -z "$$python" ]; then \
		echo "make: no Python 3.11 or newer with the venv module was found; name one with PYTHON=/path/to/python" >&2; \
		exit 1; \
	fi; \
	echo "Setting up $(VENV) with $$("$$python" --version) ..."; \
	"$$python" -m venv "$(VENV)"
	@PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt PIP_DISABLE_PIP_VERSION_CHECK=1 \
		$(BIN)/pip install --quiet -e '.[dev]'
	@touch "$@"
