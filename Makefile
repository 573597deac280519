# Gantry's commands. `make` alone lists them.
# Nothing here needs more than git, make and Python 3.11 with venv.

# Compiled files are worth keeping: without them every process of the tests compiles them again.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= python3
PORT ?= 8501
BIN := .venv/bin
PY := $(BIN)/python
# Hypothesis' own profile for CI: the same examples each time, and no deadline a busy machine can miss.
PYTEST := $(PY) -m pytest --hypothesis-profile=ci
WORKERS ?= 3
KILLS ?= 200
PEERS := langgraph pydantic_ai
LOCK := $(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 \
	--no-header --no-emit-index-url

.DEFAULT_GOAL := help
.PHONY: help app team test test-interop check lint format screenshots bench bench-peers bench-live bench-pages bench-what-if \
	crash-campaign \
	lock clean venv venv-dev

help: ## List what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

app: venv ## Install what the dashboard needs, then serve it (PORT=8501)
	@$(PY) scripts/check_port.py $(PORT)
	@exec $(BIN)/streamlit run app.py --server.port $(PORT)

team: venv-dev ## A team on one machine: PostgreSQL, two workers, the dashboard (PORT=8501)
	@$(PY) scripts/check_port.py $(PORT)
	@exec $(PY) -m scripts.team --port $(PORT)

test: venv-dev ## Install what the tests need, a browser too, then run all of them
	@$(PY) scripts/ensure_browser.py
	$(PYTEST) -q -n $(WORKERS) -m "not browser"
	$(PYTEST) -q -n 2 --dist loadfile -m browser

test-interop: venv-dev ## Beside fault servers that others wrote (aimock, WireMock); needs Node and Java
	@$(PY) scripts/ensure_interop.py
	GANTRY_INTEROP=1 $(PYTEST) -q tests/interop

check: lint ## Format, lint, types, import contracts and the fast tests; under a minute
	$(PY) -m pytest --hypothesis-profile=quick -q -n $(WORKERS) -m "not browser and not slow"

lint: venv-dev ## The part of `check` that runs no tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: venv-dev ## Rewrite the code in the project's format and sort imports
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

screenshots: venv-dev ## Make the README's pictures from a demo run
	$(PY) -m scripts.screenshots

bench: venv-dev ## Measure Gantry beside plain gather, write docs/benchmarks.md (10 minutes)
	$(PY) -m benchmarks.bench
	$(PY) -m benchmarks.report

bench-peers: venv-dev $(PEERS:%=benchmarks/peers/.venv-%/.installed) ## The same beside other frameworks
	$(PY) -m benchmarks.bench --peers
	$(PY) -m benchmarks.report

benchmarks/peers/.venv-%/.installed: benchmarks/peers/requirements-%.txt
	$(PY) -m venv --clear $(@D)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	touch $@

bench-what-if: venv-dev ## Measure how far off the Plan lab's predictions are (2 minutes)
	$(PY) -m benchmarks.what_if

bench-live: venv-dev ## Measure the live view (benchmarks/live_view.py)
	$(PY) -m benchmarks.live_view

bench-pages: venv-dev ## Measure how soon the pages answer beside ten runs (4 minutes)
	$(PY) -m benchmarks.page_response

crash-campaign: venv-dev ## kill -9 the engine, then workers, 200 times each; see what that cost (25 minutes)
	$(PY) -m scripts.crash_campaign --kills $(KILLS)
	$(PY) -m scripts.crash_campaign --kills $(KILLS) --seed 2 --target workers

lock: venv-dev ## Resolve the pinned, hashed requirements again, for all platforms
	$(LOCK) --upgrade requirements.in -o requirements.txt
	$(LOCK) --upgrade requirements-extras.in -o requirements-extras.txt
	$(LOCK) --upgrade requirements-dev.in -o requirements-dev.txt

clean: ## Remove .venv and caches; runs and articles in data/ stay
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

venv:
	@$(PYTHON) scripts/ensure_venv.py

venv-dev:
	@$(PYTHON) scripts/ensure_venv.py --dev
