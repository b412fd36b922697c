# make demo    everything, from nothing to a report of a push onto lab hosts
# make test    everything, from nothing to passing tests
.DEFAULT_GOAL := help
PYTHON := .venv/bin/python
PYTEST := $(PYTHON) -m pytest

# Without bytecode each process compiles all it imports anew, and pytest rewrites all its asserts.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo test test-fast check bench lab-up lab-down clean

help:
	@echo 'make demo       set up everything, push an agent onto the lab, write report.html'
	@echo 'make test       set up everything, run all tests (some twenty minutes)'
	@echo 'make test-fast  the tests that need no lab (under a minute)'
	@echo 'make check      ruff, mypy, the floors of the house, the tables proven complete'
	@echo 'make bench      client CPU a host, hosts a minute, copy rates'
	@echo 'make lab-up     start the lab and leave it running; make lab-down ends it'

setup:
	@.ci/setup.sh

demo:
	@.ci/setup.sh lab
	@$(PYTHON) -m lab.demo

test:
	@.ci/setup.sh lab browser
	$(PYTEST) -n 2 -m 'not lab and not browser'
	@# Real services on a busy machine: one more try, and the summary names what needed it.
	$(PYTEST) -n 2 --dist loadgroup --reruns 1 -r fEsR --durations=15 -m 'lab or browser'

test-fast:
	@.ci/setup.sh
	$(PYTEST) -n 2 -m 'not lab and not browser and not process and not thorough'

check:
	@.ci/setup.sh
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	.venv/bin/lint-imports
	$(PYTEST) -q -k 'complete' tests/unit

bench:
	@.ci/setup.sh lab
	$(PYTHON) -m bench

lab-up:
	@.ci/setup.sh lab
	@$(PYTHON) -m lab up

lab-down:
	@$(PYTHON) -m lab down

clean: lab-down
	rm -rf .venv report.html
