# Everything runs in .venv, which is made anew when requirements-dev.lock changes.
SHELL := /bin/bash
PYTHON ?= $(firstword $(foreach python,python3 python3.13 python3.12 python3.11,\
	$(shell $(python) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(python))))
BIN := .venv/bin
READY := .venv/.ready
# Much of what tests do is waiting. What is made once for a file of tests, is made for all of them on one process.
PYTEST := $(BIN)/pytest -n 3 --dist loadfile
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help setup demo test check bench pictures format lock clean

help:  ## show this list
	@sed -nE 's/^([a-z]+):.*## (.*)/\1|\2/p' Makefile | while IFS='|' read -r name does; do printf '%-8s %s\n' "$$name" "$$does"; done

setup: $(READY)  ## make .venv with everything pinned in requirements-dev.lock

$(READY): requirements-dev.lock
	@if [ -z "$(PYTHON)" ]; then echo 'vmcrawl needs Python 3.11 or newer: make PYTHON=/path/to/python' >&2; exit 1; fi
	@if ! "$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null; then \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends python3-venv; \
		else \
			echo 'Python has no venv module here. On Debian: sudo apt-get install python3-venv' >&2; exit 1; \
		fi; \
	fi
	rm -rf .venv
	"$(PYTHON)" -m venv .venv
	$(BIN)/pip install -q --require-hashes -r requirements-dev.lock
	$(BIN)/pip install -q --no-deps --no-build-isolation -e .
	@touch $@

demo: $(READY)  ## crawl a simulated Fediverse on this machine, and show what came of it
	$(BIN)/python -m tests.demo

test: $(READY)  ## run the tests
	$(PYTEST)

check: $(READY)  ## format, lint, types and tests: what CI runs
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(PYTEST)

bench: $(READY)  ## measure what a crawl costs here (Debian: nginx-light, libnginx-mod-http-echo); tests/bench/README.md
	$(BIN)/python -m tests.bench $(BENCH)

pictures: $(READY)  ## draw the dashboards from real answers (npm, Debian: chromium prometheus); grafana/README.md
	$(BIN)/python -m grafana.build
	$(BIN)/python -m tests.dashboards build/answers
	for name in adoption instances health; do \
		sh tests/dashboards/draw.sh build/answers/$$name.json build/pictures --theme dark --width 1600 || exit 1; \
		cp build/pictures/vmcrawl-$$name-dark-1600.png grafana/pictures/$$name.png; done

format: $(READY)  ## put the format of the code right
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

# With the oldest Python we support, so that what only older ones need is pinned, too.
COMPILE = CUSTOM_COMPILE_COMMAND='make lock' build/lock/bin/pip-compile -q --upgrade --generate-hashes --strip-extras \
	--allow-unsafe --no-emit-options --no-emit-index-url --no-emit-find-links --no-emit-trusted-host
GROUPS = import tomllib; project = tomllib.load(open("pyproject.toml", "rb")); \
	print(*project["build-system"]["requires"], *project["dependency-groups"]["dev"], sep="\n")
BACKEND = import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")

lock:  ## pin the newest dependencies, with hashes
	python3.11 -m venv build/lock
	build/lock/bin/pip install -q pip-tools
	$(COMPILE) --extra embedded -o requirements.lock pyproject.toml
	build/lock/bin/python -c '$(GROUPS)' | $(COMPILE) --extra embedded -c requirements.lock -o requirements-dev.lock pyproject.toml -
	build/lock/bin/python -c '$(BACKEND)' | $(COMPILE) -c requirements-dev.lock -o requirements-image.lock pyproject.toml -

clean:  ## remove everything that was made
	rm -rf .venv build .demo .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
	find vmcrawl tests -name __pycache__ -prune -exec rm -rf {} +
