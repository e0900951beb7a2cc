# Every target makes the environment it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
COMPILE := uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --no-annotate --quiet
comma := ,
# `docker compose`, `docker-compose` or `podman-compose`, whichever is there.
COMPOSE ?= $(shell docker compose version >/dev/null 2>&1 && echo docker compose || command -v docker-compose || command -v podman-compose || echo podman compose)

.PHONY: up test check format bench lock clean sbom secrets-baseline compose-secrets compose-up compose-down compose-logs compose-test

# uv installs in seconds what takes pip minutes. It does not read pip's configuration: where it finds nothing, pip may.
$(READY): requirements-dev.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	$(PYTHON) -m venv $(VENV)
	awk '/^[^ ]/ {wanted = /^uv==/} wanted' requirements-dev.lock > $(VENV)/uv-requirements.txt
	$(PIP) --require-hashes -r $(VENV)/uv-requirements.txt \
	  && $(BIN)/uv pip install --python $(BIN)/python --quiet --require-hashes -r requirements-dev.lock \
	  || { echo 'uv cannot install here, for the reason above; pip takes some minutes' >&2; \
	       $(PIP) --require-hashes -r requirements-dev.lock; }
	$(PIP) --no-deps --no-build-isolation -e .
	touch $@

up: $(READY)
	$(BIN)/orderfold up --sample

test: $(READY)
	$(BIN)/python -m pytest -m "not podman" -n 2 --dist loadfile --no-loadscope-reorder

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	git ls-files -z | xargs -0 $(BIN)/detect-secrets-hook --baseline .secrets.baseline

# What looks like a secret and is none goes here, after a look at each: it holds hashes, not the texts.
secrets-baseline: $(READY)
	git ls-files -z | xargs -0 $(BIN)/detect-secrets scan --exclude-files 'requirements(-dev)?\.lock|package-lock\.json' > .secrets.baseline

# CycloneDX: what an installation runs, with its hashes.
sbom: $(READY)
	mkdir -p build
	$(BIN)/cyclonedx-py requirements requirements.lock --pyproject pyproject.toml --output-reproducible -o build/sbom.json

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY)
	$(BIN)/python -m tests.bench

# Two locks that agree: what running needs, and what developing needs besides.
lock: $(READY)
	$(BIN)/$(COMPILE) -o requirements.lock
	$(BIN)/$(COMPILE) --all-extras --constraint requirements.lock -o requirements-dev.lock

compose-secrets: $(READY)
	$(BIN)/python -m infra.deploy.compose_secrets .compose $(if $(TLS),--tls)

# WATCH=1: with what observes the system, and traces and logs sent to it. TLS=1: all services on mutual TLS.
compose-up: compose-secrets
	$(if $(TLS),COMPOSE_FILE=compose.yaml:infra/deploy/compose/tls.yaml) $(if $(WATCH),COMPOSE_PROFILES=core$(comma)watch ORDERFOLD_OTLP_ENDPOINT=http://collector:4318 ORDERFOLD_OTLP_LOGS=true) $(COMPOSE) up --detach --build

compose-down:
	COMPOSE_PROFILES=core$(comma)watch $(COMPOSE) down

compose-logs:
	COMPOSE_PROFILES=core$(comma)watch $(COMPOSE) logs --follow --tail=100

compose-test: compose-secrets
	$(BIN)/python -m pytest -m podman tests/deploy/compose

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
