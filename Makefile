# On a machine with Python >= 3.11 and make, `make demo` and `make test` do all the set-up.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin

.PHONY: help install demo test slow endurance check docs format browser bench clean

help:       ## what can be made
	@grep -E '^[a-z]+: .*##' $(MAKEFILE_LIST) | sed 's/:.*##/ -/'

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

install: $(VENV)/.installed   ## the virtual environment with everything in it

demo: install                 ## the main job on a drawn set with known faults, in demo/
	$(BIN)/curate demo demo

test: install                 ## the tests that are neither slow nor need a browser, on all cores
	$(BIN)/python -m pytest -n logical --dist worksteal -m "not slow and not browser and not endurance"

slow: install                 ## the slow tests
	$(BIN)/python -m pytest -n logical --dist worksteal -m "slow and not browser and not endurance"

endurance: install            ## the tests that kill commands, run them beside each other or feed them broken input
	$(BIN)/python -m pytest -n logical --dist worksteal -m endurance

browser: install              ## the tests that open the report in a browser
	$(BIN)/python -m pytest -m browser

check: install                ## format, lint and types, as CI runs them
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

$(VENV)/.docs: $(VENV)/.installed
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[docs]'
	@touch $@

SITE := build/docs
docs: $(VENV)/.docs           ## the documentation site, in build/docs/html; a warning is an error
	$(BIN)/python docs/reference.py $(SITE)/source
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going --conf-dir docs --doctree-dir $(SITE)/doctrees \
	    $(SITE)/source $(SITE)/html
	@echo "site    $(SITE)/html/index.html"

format: install               ## put the code into form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

SOURCE ?= demo/data.npz
bench: demo                   ## seconds of each stage of a scan, of SOURCE=data.npz or the demo set
	$(BIN)/python benchmarks/stages.py $(SOURCE)

clean:                        ## remove what was made here
	rm -rf $(VENV) demo build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
