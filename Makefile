# One target a chore; each sets up what it needs. `make help` lists them.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
SIZE ?= quick
SITE := reports/site
BASE ?= main
HEAD ?= .
SECONDS ?= 300
RANGE ?= NEW
COMPARISON := .asv/compare/latest
RESULTS := .asv/results

.DEFAULT_GOAL := help
.PHONY: help install report benchmark site serve test check smoke clean training compare compare-exact proof proof-short history merge

help: ## List the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

$(VENV)/installed: pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not installed: install Python 3.11, or name another by make PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip "setuptools>=77"
	# The CPU pin first, so that nothing else chooses a torch (and gigabytes of CUDA) of its own.
	$(BIN)/python -m pip install --quiet torch==2.13.0
	$(BIN)/python -m pip install --quiet --no-build-isolation -e ".[bench,report,test]"
	touch $@

install: $(VENV)/installed ## Make .venv and install everything into it

report: $(VENV)/installed ## Run the quick benchmark and training, and build the report from them (SIZE=standard: hours)
	@$(MAKE) --no-print-directory benchmark; status=$$?; \
	$(MAKE) --no-print-directory training || status=$$?; \
	$(MAKE) --no-print-directory site && exit $$status

benchmark: $(VENV)/installed ## Run the benchmark; killed, it goes on. Fails if a case failed, and keeps the others
	$(BIN)/python -m benchmarks run --size $(SIZE)

training: $(VENV)/installed ## Train with each gradient method; killed, it goes on
	$(BIN)/python -m benchmarks train --size $(SIZE)

site: $(VENV)/installed ## Build the report from the results there are
	$(BIN)/python -m reports build --output $(SITE)

serve: $(VENV)/installed ## Show the report on this machine, built again whenever the results change
	$(BIN)/python -m reports serve --output $(SITE)

test: check ## Check everything: lint, types, import contract, tests and doctests
	$(BIN)/python -m pytest

check: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml

smoke: $(VENV)/installed ## Run every case and training at its smallest size, and build the report
	$(MAKE) --no-print-directory benchmark SIZE=smoke
	$(MAKE) --no-print-directory training SIZE=smoke
	SYMADJ_BENCHMARK_SIZE=smoke $(BIN)/python -m pytest benchmarks/pytest_suite -q \
	  -o addopts= --benchmark-json=.benchmarks/smoke.json
	$(MAKE) --no-print-directory site

# Both write the table for a pull request, and the page, whatever the verdict.
compare: $(VENV)/installed ## Compare two versions, BASE=v0.1 HEAD=HEAD; exits 1 if something is worse
	$(BIN)/python -m benchmarks compare "$(BASE)" "$(HEAD)" --seconds $(SECONDS) \
	  --html $(COMPARISON).html --markdown $(COMPARISON).md

compare-exact: $(VENV)/installed ## Likewise, but only what is exact
	$(BIN)/python -m benchmarks compare "$(BASE)" "$(HEAD)" --exact-only \
	  --html $(COMPARISON).html --markdown $(COMPARISON).md

proof: $(VENV)/installed ## Plant faults, and see which of them a comparison finds: an hour
	$(BIN)/python -m benchmarks.compare.proof

proof-short: $(VENV)/installed ## Plant each exact fault once: a minute
	$(BIN)/python -m benchmarks.compare.proof --short

history: $(VENV)/installed ## Measure commits that have no results yet, RANGE=v0.1..main or all since the last, in asv's environments
	$(BIN)/asv machine --yes
	SYMADJ_BENCHMARK_SIZE=$(SIZE) $(BIN)/asv run --skip-existing-successful "$(RANGE)"

merge: $(VENV)/installed ## Bring other machines' results into ours, FROM="folder folder", for one site
	$(BIN)/python -m benchmarks merge-results $(FROM) --into $(RESULTS)

clean: ## Remove what the other targets made
	rm -rf $(VENV) .asv .journal .benchmarks $(SITE) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
