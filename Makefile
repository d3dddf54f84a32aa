# Everything sets itself up: a machine with make and Python 3.11 or newer is enough.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
PORT ?= 8000
HOST ?= 127.0.0.1

PYTHON := .venv/bin/python
# What the environment or a .env of a developer names must not reach the tests.
CLEAN_ENV := env -u DATABASE_URL -u CELERY_BROKER_URL -u SECRET_KEY -u FIELD_ENCRYPTION_KEY -u DEBUG -u ALLOWED_HOSTS \
	-u TIME_ZONE -u LANGUAGE_CODE -u HTTPS -u EMAIL_URL -u BEAT_LEASE_SECONDS -u HEARTBEAT_SECONDS -u WORKER_STUCK_SECONDS -u WORKER_ALIVE_FILE -u RETENTION_FLOOR_DAYS \
	-u REDDIT_CLIENT_ID -u REDDIT_CLIENT_SECRET -u REDDIT_USER_AGENT -u REDDIT_URL -u REDDIT_OAUTH_URL -u PURGE_CAP_ROWS \
	-u PURGE_CAP_SHARE -u APPROVE_OWN_RUNS -u PURGE_CAP_MIN_ROWS -u PURGE_THROTTLE -u WEB_STATEMENT_TIMEOUT_SECONDS -u ALERT_EMAILS -u WEBHOOKS_TO_PRIVATE_ADDRESSES -u DEAD_MAN_URL -u SERVER_EMAIL \
	-u COMPLIANCE_TARGET_PERCENT -u CONN_MAX_AGE -u CSRF_TRUSTED_ORIGINS -u LOG_FORMAT -u LOG_LEVEL -u METRICS_TOKEN -u OTEL_EXPORTER_OTLP_ENDPOINT -u REDDIT_TIMEOUT_SECONDS -u TRUSTED_PROXY_COUNT -u CONSOLE_URL -u HELP_CONTACT -u SECOND_FACTOR_REQUIRED_FOR -u SESSION_IDLE_MINUTES \
	-u OIDC_ISSUER -u OIDC_CLIENT_ID -u OIDC_CLIENT_SECRET -u OIDC_NAME -u OIDC_SCOPES -u OIDC_GROUPS_CLAIM -u OIDC_ROLES -u OIDC_AUTO_CREATE -u OIDC_EMAIL_DOMAINS \
	-u OIDC_SECOND_FACTOR -u OIDC_SESSION_HOURS READ_DOT_ENV=false
# More arguments for pytest: make test ARGS="-k purge"
ARGS ?=

.PHONY: help run test test-fast soak chaos format lint audit bench requirements screenshots messages clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' Makefile

run: .venv/.base ## run the whole console on this machine (PORT=8000 HOST=127.0.0.1)
	@exec $(PYTHON) manage.py up --host $(HOST) --port $(PORT)

test: .venv/.dev ## run all tests embedded, and beside it on PostgreSQL and Redis where they answer, and in a browser (ARGS=…)
	@exec $(CLEAN_ENV) $(PYTHON) -m tests.side_by_side $(ARGS)

test-fast: .venv/.dev ## run the quick tests of every package in a minute, on SQLite and on every core (ARGS=…)
	@exec $(CLEAN_ENV) PYTHONDONTWRITEBYTECODE= VAR_DIR=$(CURDIR)/var/test-fast $(PYTHON) -m pytest -q --numprocesses auto \
		--dist worksteal --hypothesis-profile fast -m "not slow and not soak" --ignore tests/chaos --ignore tests/e2e \
		--ignore tests/api/test_fuzzing.py -p no:schemathesis -p no:playwright $(ARGS)

soak: .venv/.dev ## draw the whole of every space that the suite samples, for hours, on both databases (ARGS=…)
	@exec $(CLEAN_ENV) SOAK=1 $(PYTHON) -m tests.side_by_side -m soak --timeout 0 $(ARGS)

chaos: .venv/.dev ## kill and freeze real processes for half an hour, on PostgreSQL and Redis
	@services=$$($(PYTHON) -m tests.services) || exit 1; \
	exec $(CLEAN_ENV) VAR_DIR=$(CURDIR)/var/test-services CHAOS=full $$services $(PYTHON) -m pytest tests/chaos -p no:randomly --timeout 1800 $(ARGS)

format: .venv/.dev ## put the code into the formatter's shape, and mend what the linter can
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

lint: .venv/.dev ## check style, sizes, types, the direction of imports, migrations, settings and translations
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(CLEAN_ENV) VAR_DIR=$(CURDIR)/var/test $(PYTHON) -m mypy
	.venv/bin/lint-imports
	$(CLEAN_ENV) VAR_DIR=$(CURDIR)/var/test $(PYTHON) manage.py makemigrations --check --dry-run
	$(CLEAN_ENV) VAR_DIR=$(CURDIR)/var/test $(PYTHON) manage.py check --fail-level WARNING
	$(CLEAN_ENV) VAR_DIR=$(CURDIR)/var/test $(PYTHON) -m pytest -q -p no:cacheprovider tests/messages.py tests/sizes.py

audit: .venv/.dev ## ask PyPI's vulnerability service about every locked release; says so where it cannot be asked
	@$(PYTHON) -m tests.lock_audit

bench: .venv/.dev ## run the benchmarks; each prints a table: embedded, then on PostgreSQL where it answers
	@services=$$($(PYTHON) -m tests.services) || exit 1; \
	for file in $$(grep -l '__main__' bench/*.py | grep -v -e /fill -e /pages -e /api_load -e /tabs -e /waiters); do \
		echo "== $$file"; $(CLEAN_ENV) VAR_DIR=$(CURDIR)/var/bench $(PYTHON) -m bench.$$(basename $$file .py) || exit 1; \
		if [ -n "$$services" ]; then \
			$(CLEAN_ENV) VAR_DIR=$(CURDIR)/var/bench-services $$services $(PYTHON) -m bench.$$(basename $$file .py) || exit 1; \
		fi; \
	done

requirements: .venv/.dev ## compile requirements/*.in to *.txt; UPGRADE=1 takes the newest releases
	@for name in base parquet tracing dev; do \
		.venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-find-links \
			$(if $(UPGRADE),--upgrade) requirements/$$name.in -o requirements/$$name.txt || exit 1; \
	done

screenshots: .venv/.dev ## renew docs/images/: the dashboard after a made-up fortnight, by the real browser
	@$(CLEAN_ENV) VAR_DIR=$(CURDIR)/var/test $(PYTHON) -m pytest -q -p no:cacheprovider tests/e2e/screenshots.py

messages: .venv/.dev ## collect and compile the translations (needs gettext)
	$(PYTHON) manage.py makemessages --locale zh_Hans --no-location --ignore .venv --ignore var
	$(PYTHON) manage.py compilemessages --ignore .venv

clean: ## remove the virtual environment and all caches; var/ (your data) stays
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache test-results var/test var/test-fast var/test-services var/bench var/bench-services
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The newest interpreter that is new enough and whole: a shim may be on the PATH and not work.
.venv/bin/python:
	@found=; missing=; \
	for python in python3.13 python3.12 python3.11 python3; do \
		"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 || continue; \
		if "$$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then found=$$python; break; fi; \
		missing=$${missing:-$$python}; \
	done; \
	if [ -z "$$found" ] && [ -n "$$missing" ]; then \
		echo "$$missing has no venv. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; \
	elif [ -z "$$found" ]; then \
		echo "Python 3.11 or newer is needed and was not found on the PATH." >&2; exit 1; \
	fi; \
	echo "Making .venv with $$($$found --version)"; \
	rm -rf .venv && "$$found" -m venv .venv

# Stamps: a second call installs nothing, a changed lock installs again.
.venv/.base: requirements/base.txt | .venv/bin/python
	@echo "Installing $<"
	@$(PYTHON) -m pip --version >/dev/null 2>&1 || $(PYTHON) -m ensurepip >/dev/null
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --require-hashes --requirement $<
	@touch $@

.venv/.dev: requirements/dev.txt | .venv/bin/python
	@echo "Installing $<"
	@$(PYTHON) -m pip --version >/dev/null 2>&1 || $(PYTHON) -m ensurepip >/dev/null
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --require-hashes --requirement $<
	@touch $@
