# make demo    everything, from nothing to a report of a push onto lab hosts
# make test    everything, from nothing to passing tests
.DEFAULT_GOAL := help
PYTHON := .venv/bin/python
PYTEST := $(PYTHON) -m pytest

# Without bytecode each process compiles all it imports anew, and pytest rewrites all its asserts.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup demo test test-fast check bench faults lab-up lab-down lock newest wheels dist check-wheel clean

help:
	@echo 'make demo       set up everything, push an agent onto the lab, write report.html'
	@echo 'make test       set up everything, run all tests (some twenty minutes)'
	@echo 'make test-fast  the tests that need no lab (under a minute)'
	@echo 'make check      ruff, mypy, the floors of the house, the tables proven complete'
	@echo 'make bench      client CPU a host, hosts a minute, copy rates'
	@echo 'make faults     workers killed and frozen, databases ended: what becomes of 2,000 hosts'
	@echo 'make lab-up     start the lab and leave it running; make lab-down ends it'
	@echo 'make lock       make the locks anew from pyproject.toml; RENEW=1 takes newer releases'
	@echo 'make newest     the fast tests with the newest of everything, and what differs'
	@echo 'make dist       the wheel and the source archive, the same bytes each time'
	@echo 'make check-wheel  the wheel in an empty environment, pushing onto lab hosts'
	@echo 'make wheels     fetch all that set-up needs into wheels/, for a machine without network'

setup:
	@.ci/setup.sh

demo:
	@.ci/setup.sh lab
	@$(PYTHON) -m lab.demo

test:
	@.ci/setup.sh lab browser
	$(PYTEST) -n 2 -m 'not lab and not browser'
	$(PYTEST) -n 2 --dist loadgroup -r fEs --durations=15 -m 'lab or browser'

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

faults:
	@.ci/setup.sh lab
	$(PYTHON) -m tests.faults --targets 2000

lab-up:
	@.ci/setup.sh lab
	@$(PYTHON) -m lab up

lab-down:
	@$(PYTHON) -m lab down

# uv lies in an environment of its own: nothing that runs or tests pusher can come to need it.
UV := .tools/bin/uv
$(UV): locks/tools.txt
	@python3 -m venv --clear .tools
	@.tools/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r locks/tools.txt
	@touch $(UV)

lock: $(UV)
	@.ci/setup.sh
	@$(PYTHON) packaging/lock.py $(abspath $(UV)) $(if $(RENEW),--renew)

newest: $(UV)
	@.ci/setup.sh
	@$(PYTHON) packaging/newest.py $(abspath $(UV))

dist:
	@.ci/setup.sh dist
	@rm -rf dist
	@env -u SOURCE_DATE_EPOCH $(PYTHON) -m hatchling build
	@cd dist && sha256sum *

check-wheel: dist
	@.ci/setup.sh lab
	@$(PYTHON) -m tests.packaging dist/*.whl

wheels:
	@.ci/setup.sh
	@rm -rf wheels.new
	@for lock in build dev; do $(PYTHON) -m pip download --quiet --disable-pip-version-check --no-deps \
	    --no-build-isolation --require-hashes --requirement locks/$$lock.txt --dest wheels.new || exit; done
	@rm -rf wheels && mv wheels.new wheels
	@echo "wheels/ holds all that .ci/setup.sh installs from then on; copy it beside another checkout"

clean: lab-down
	rm -rf dist .venv .tools .newest report.html
