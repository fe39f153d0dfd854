# What people type. `make run` needs Python 3.11 or newer and a package index, nothing else.

PYTHON ?= python3
CORES ?= all
PRESET ?= presets/phang2020.yaml
DIR ?= mirror
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
READY_DEV := $(VENV)/.ready-dev
CODE := workflow_scripts tests benchmarks

.PHONY: run venv venv-dev test lint format catalogue report mirror clean

run: venv
	$(BIN)/snakemake --cores $(CORES)

venv: $(READY)

$(READY): requirements.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.txt
	touch $@

venv-dev: $(READY_DEV)

$(READY_DEV): $(READY) requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements-dev.txt
	touch $@

test: venv-dev
	$(BIN)/python -m pytest --cov --cov-report=term --durations=10

lint: venv-dev
	$(BIN)/snakefmt --check Snakefile rules
	$(BIN)/snakemake --lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/yamllint --strict .
	$(BIN)/codespell

format: venv-dev
	$(BIN)/snakefmt Snakefile rules
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# docs/catalogue.md, from the cards.
catalogue: venv
	PYTHONPATH=workflow_scripts $(BIN)/python -m stiltgrid.reporting.catalogue

report: venv
	$(BIN)/snakemake --report report.html

# Fills the folder DIR from the hub with the tasks and models of a configuration, for machines without internet:
# make mirror DIR=mirror PRESET=presets/xtreme_r.yaml
mirror: venv
	$(BIN)/snakemake --cores 1 mirror --configfile $(PRESET) --config source=hub data_dir=$(DIR)

clean:
	rm -rf results/* logs .snakemake report.html
