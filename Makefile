# One target a chore; each sets up what it needs. `make help` lists them.
PYTHON ?= python3.11
# A CPU build where one is to be had, and gigabytes of CUDA elsewhere; symadj itself takes any from 2.11.
TORCH ?= torch==2.13.0
VENV := .venv
BIN := $(VENV)/bin
SIZE ?= quick
SITE := reports/site
DOCS := docs-site
BASE ?= main
HEAD ?= .
SECONDS ?= 300
RANGE ?= NEW
COMPARISON := .asv/compare/latest
RESULTS := .asv/results
DIST := dist
EVERY ?= 1
ONLY ?= symadj
BENCH ?= .

.DEFAULT_GOAL := help
.PHONY: help install report benchmark site serve docs docs-serve examples test check format hooks coverage mutants smoke clean training compare compare-exact proof proof-short history merge-results changelog dist package

help: ## List the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

$(VENV)/installed: pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not installed: install Python 3.11, or name another by make PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	# torch first, so that nothing else chooses one (and gigabytes of CUDA) of its own.
	$(BIN)/python -m pip install --quiet "$(TORCH)"
	# What builds, since nothing is built in isolation: comparisons build commits without a network.
	$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' > $(VENV)/build-requires.txt
	$(BIN)/python -m pip install --quiet -r $(VENV)/build-requires.txt
	$(BIN)/python -m pip install --quiet --no-build-isolation -e ".[bench,docs,examples,report,test]"
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

docs: $(VENV)/installed ## Build the documentation into docs-site/, with the report if there is one
	# Not --quiet: it hides the warnings from --strict, which counts them.
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --site-dir $(DOCS)
	@test ! -d $(SITE) || cp -r $(SITE) $(DOCS)/report
	@echo "documentation: $(DOCS)/index.html"

docs-serve: $(VENV)/installed ## Show the documentation at 127.0.0.1:8000, built again when it is edited
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve

EXAMPLES := $(patsubst examples/%.py,%,$(wildcard examples/*.py))
examples: $(VENV)/installed ## Run every example, and draw the pictures of docs/examples.md: five minutes
	@for name in $(EXAMPLES); do \
	  echo "== $$name"; \
	  OMP_NUM_THREADS=1 MPLBACKEND=agg $(BIN)/python examples/$$name.py --output docs/pictures/$$name.png || exit 1; \
	done

test: check ## Check everything: what check does, then tests and doctests
	$(BIN)/python -m pytest

check: $(VENV)/installed ## Lint, format, types, import contract, spelling, schemas: what a commit is held to
	$(BIN)/pre-commit run --all-files --show-diff-on-failure

format: $(VENV)/installed ## Mend what the linter and the formatter can mend
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

hooks: $(VENV)/installed ## Hold every commit here to the same checks
	$(BIN)/pre-commit install

coverage: $(VENV)/installed ## Run all tests; list the lines that none reaches; fails below 95 % of the library's
	$(BIN)/coverage erase
	# Without the test that asks for seconds: watching lines takes as long again.
	$(BIN)/coverage run -m pytest --deselect tests/reports/test_size.py
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --include="benchmarks/*,reports/*"
	$(BIN)/coverage report --include="symadj/*" --fail-under=95

mutants: $(VENV)/installed ## Break tableaus, steps, controller and schedules, one change at a time; fails where no test notices (ONLY=binomial EVERY=10)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.mutation --only "$(ONLY)" --every $(EVERY)

smoke: $(VENV)/installed ## Run every case and training at its smallest size, and build the report
	$(MAKE) --no-print-directory benchmark SIZE=smoke
	$(MAKE) --no-print-directory training SIZE=smoke
	SYMADJ_BENCHMARK_SIZE=smoke $(BIN)/python -m pytest benchmarks/pytest_suite -q \
	  -o addopts= --benchmark-json=.benchmarks/smoke.json
	$(MAKE) --no-print-directory site

# Both write the table for a pull request, and the page, whatever the verdict.
compare: $(VENV)/installed ## Compare two versions, BASE=v0.1.0 HEAD=HEAD; exits 1 if something is worse
	$(BIN)/python -m benchmarks compare "$(BASE)" "$(HEAD)" --seconds $(SECONDS) \
	  --html $(COMPARISON).html --markdown $(COMPARISON).md

compare-exact: $(VENV)/installed ## Likewise, but only what is exact
	$(BIN)/python -m benchmarks compare "$(BASE)" "$(HEAD)" --exact-only \
	  --html $(COMPARISON).html --markdown $(COMPARISON).md

proof: $(VENV)/installed ## Plant faults, and see which of them a comparison finds: 6 hours; killed, it goes on
	$(BIN)/python -m benchmarks.compare.proof

proof-short: $(VENV)/installed ## Plant each exact fault once: a minute
	$(BIN)/python -m benchmarks.compare.proof --short

history: $(VENV)/installed ## Measure commits that have no results yet, RANGE=v0.1.0..main or all since the last, in asv's environments; BENCH=suites.kdv for a part
	$(BIN)/asv machine --yes
	# A process for each figure: forked, since otherwise each imports torch anew, for hours.
	SYMADJ_BENCHMARK_SIZE=$(SIZE) $(BIN)/asv run --launch-method forkserver --skip-existing-successful --bench "$(BENCH)" "$(RANGE)"

merge-results: $(VENV)/installed ## Bring other machines' results into ours, FROM="folder folder", for one site
	$(BIN)/python -m benchmarks merge-results $(FROM) --into $(RESULTS)

changelog: $(VENV)/installed ## Write the notes in changes/ into CHANGELOG.md, VERSION=0.2.0
	$(BIN)/towncrier build --yes --version "$(VERSION)"

dist: $(VENV)/installed ## Build the wheel and the source archive, and look at what is in them
	rm -rf $(DIST)
	$(BIN)/python -m build --no-isolation --outdir $(DIST)
	SYMADJ_DIST=$(DIST) $(BIN)/python -m pytest tests/packaging -q

package: dist ## Likewise, and test the wheel in a clean environment, with the source tree out of reach
	.ci/test-wheel $(PYTHON) "$(TORCH)" $(DIST)/symadj-*.whl

clean: ## Remove what the other targets made
	rm -rf $(VENV) $(DIST) build .coverage .asv .journal .benchmarks $(SITE) $(DOCS) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
