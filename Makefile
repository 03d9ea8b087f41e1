# Every target sets up what it needs: only python3 (with venv) and make are taken as given.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: help demo test acceptance lint format bench clean

help: ## say what there is
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 12

$(STAMP): requirements-dev.lock pyproject.toml
	@echo "setting up $(VENV) (once; about a minute)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements-dev.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .
	@touch $(STAMP)

demo: $(STAMP) ## the whole story, live, on this machine only
	@$(BIN)/response-monitor demo $(ARGS)

test: $(STAMP) ## all tests but the long proofs
	$(BIN)/python -m pytest -m "not acceptance" $(ARGS)

acceptance: $(STAMP) ## the long proofs: many seeds, many kills
	$(BIN)/python -m pytest -m acceptance -n 0 -v $(ARGS)

lint: $(STAMP) ## ruff, mypy --strict, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

format: $(STAMP) ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP) ## measured ratios, as a table; without ARGS also the soak of 10,000 alerts
	$(BIN)/python -m benchmarks $(ARGS)
	$(if $(ARGS),,$(BIN)/python -m pytest -m acceptance -n 0 -v tests/acceptance/test_soak.py)

clean: ## forget the set-up
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
