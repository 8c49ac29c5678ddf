# Needs Python 3.11 or newer, and make. Everything else goes into .venv, at the versions of constraints.txt.
#
#   make demo          the whole system on this machine (DEMO="--port 9000" passes options on)
#   make demo ONCE=1   the same, playing its scenes by itself; fails unless all held
#   make demo SLACK=1  the same, with its cards in your Slack: two tokens in the environment (docs/slack.md);
#                      CHANNEL=C… and PLAY="robin=U…" where the channel and who plays whom are not clear
#   make test          lint, types, import rules and all tests (TESTS=tests/bot runs some)
#   make kills         every kill of tests/story/test_*kills.py, not only those of a test run
#   make faults        1,000 fault plans on the real thing, in at most an hour, and three planted bugs found among 200
#                      (SEED=… another seed, PLANS=… fewer, ONLY=hash one of them alone)
#   make lint          the same without the tests
#   make bench         the figures of docs/performance.md
#   make clean         remove .venv, caches and the demo's state

PYTHON ?= $(shell for it in python3.11 python3 python3.14 python3.13 python3.12 python; do \
	$$it -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { command -v $$it; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
PINS := pyproject.toml constraints.txt
BY_FILE := --dist=loadfile --no-loadscope-reorder# in the order of tests/conftest.py: the long files first

.DEFAULT_GOAL := help
.PHONY: help demo test kills faults lint bench clean
.NOTPARALLEL:
.DELETE_ON_ERROR:

help:
	@sed -n 's/^#   //p' Makefile

demo: $(VENV)/.demo
	$(BIN)/countersign demo $(if $(ONCE),--once) $(if $(SLACK),--slack) $(if $(CHANNEL),--slack-channel $(CHANNEL)) \
		$(if $(PLAY),--slack-as "$(PLAY)") $(DEMO)

# The story runs by itself, a few files at a time: it kills real processes, reads clocks, and mostly waits.
test: lint
ifdef TESTS
	$(BIN)/pytest $(TESTS)
else
	$(BIN)/pytest --numprocesses=auto --maxprocesses=4 $(BY_FILE) --ignore=tests/story --ignore=tests/faults
	$(BIN)/pytest --numprocesses=3 $(BY_FILE) tests/story tests/faults
endif

kills: $(VENV)/.dev
	KILLS=all $(BIN)/pytest tests/story/test_kills.py tests/story/test_evidence_kills.py tests/story/test_truncate_kills.py

faults: $(VENV)/.dev
	$(BIN)/python -m tests.faults $(if $(SEED),--seed $(SEED)) $(if $(PLANS),--plans $(PLANS)) $(if $(ONLY),--only $(ONLY))
ifndef ONLY
	$(BIN)/python -m tests.faults $(if $(SEED),--seed $(SEED)) --planted
	MODEL_TROUBLES=2 $(BIN)/pytest tests/approvers/test_grant_model.py
endif

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

bench: $(VENV)/.dev
	$(BIN)/python -m bench

clean:
	rm -rf $(VENV) demo-state .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps say what was installed from which pins; a change of the pins installs again. `dev` includes `demo`, and the tests need `teams`.
$(VENV)/.demo: $(PINS) | $(BIN)/python
	@echo "Installing into $(VENV): about a minute the first time."
	$(PIP) install -c constraints.txt -e '.[server,aws,demo]'
	@touch $@

$(VENV)/.dev: $(PINS) | $(BIN)/python
	@echo "Installing into $(VENV): about two minutes the first time."
	$(PIP) install -c constraints.txt -e '.[server,aws,teams,demo,dev,bench]'
	@touch $(VENV)/.demo $@

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Countersign needs Python 3.11 or newer, and found none." \
		"Install it (Debian: apt install python3 python3-venv) or name it: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is older than 3.11:" \
		"name a newer one: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@"$(PYTHON)" -m venv $(VENV) || { rm -rf $(VENV); echo "$(PYTHON) cannot make a virtual environment." \
		"Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
