# Every target sets up what it needs in .venv, once; while requirements.lock stays the same, nothing is installed again.

SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
# The first Python on this machine that is new enough.
PYTHON ?= $(shell for each in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$each -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$each && break; done)

.DEFAULT_GOAL := help
.PHONY: help setup sync status publish simulate test soak lint bench dashboard docs clean lock

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# install,EXTRAS: the project with these extras, at the versions of the lock file, unless that was done already.
define install
	@cmp -s requirements.lock $(VENV)/$(1).lock || { \
		test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed (python3, with venv)"; exit 2; }; \
		echo "setting up $(VENV) for $(1) ..."; \
		test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || exit 2; \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements.lock setuptools && \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements.lock \
			--no-build-isolation -e '.[$(2)]' && \
		cp requirements.lock $(VENV)/$(1).lock; }
endef

setup: ## Set up .venv for everything
	$(call install,sync,simulator)
	$(call install,dashboard,simulator$(comma)dashboard)
	$(call install,dev,simulator$(comma)dashboard$(comma)dev)

# Make ends with 2 whatever its recipe ended with, so a schedule says which codes are no alarm: make sync PASS="4 6".
sync: ## Bring the warehouse in step (the shipped configuration: with the simulator)
	$(call install,sync,simulator)
	@$(BIN)/defender-sync sync; code=$$?; for pass in $(PASS); do test $$code = $$pass && exit 0; done; exit $$code

status: ## Show freshness, rows, last runs and calls left
	$(call install,sync,simulator)
	@$(BIN)/defender-sync status

publish: ## Write the published snapshot again
	$(call install,sync,simulator)
	@$(BIN)/defender-sync publish

dashboard: ## Show the dashboard of what is published, on loopback
	$(call install,dashboard,simulator$(comma)dashboard)
	@$(BIN)/python -m dashboard

simulate: ## Run the simulator of the API as a process of its own
	$(call install,sync,simulator)
	@$(BIN)/defender-sync simulate

test: ## Run all tests
	$(call install,dev,simulator$(comma)dashboard$(comma)dev)
	@$(BIN)/python -m pytest -n auto --dist worksteal

soak: ## Sync under random faults and kills for MINUTES=10, then compare with the truth
	$(call install,dev,simulator$(comma)dashboard$(comma)dev)
	@PYTHONPATH=.:tests:tests/faults $(BIN)/python tests/faults/soak.py --minutes $(or $(MINUTES),10) --seed $(or $(SEED),1)

lint: ## Check style, types, SQL and the locked dependencies
	$(call install,dev,simulator$(comma)dashboard$(comma)dev)
	@$(BIN)/python tools/audit_lock.py & audit=$$!; \
	$(BIN)/ruff format --check . && \
	$(BIN)/ruff check . && \
	$(BIN)/mypy && \
	$(BIN)/sqlfluff lint --processes 2 sql && \
	$(BIN)/sqlfluff lint --templater placeholder dashboard/queries docs/questions; \
	code=$$?; wait $$audit && exit $$code

bench: ## Measure speed, memory, disk and calls beside what else there is; FULL=1 adds mistyped values, many tenants and 5 million rows
	$(call install,sync,simulator)
	@$(BIN)/python -m benchmarks $(if $(FULL),--full)

docs: ## Write the generated pages and screenshots of docs/ anew (maintainers; needs Chromium)
	$(call install,dev,simulator$(comma)dashboard$(comma)dev)
	@$(BIN)/python tools/configuration_reference.py
	@$(BIN)/python tools/marts_reference.py
	@SCREENSHOTS=docs/images $(BIN)/python -m pytest tests/dashboard/test_browser.py -k screenshots

lock: ## Write requirements.lock anew from pyproject.toml (maintainers)
	@rm -rf $(VENV)-lock && $(PYTHON) -m venv $(VENV)-lock
	@$(VENV)-lock/bin/python -m pip install --quiet --disable-pip-version-check setuptools '.[simulator,dashboard,dev]'
	@$(VENV)-lock/bin/python -m pip freeze --all --exclude defender-sync --exclude pip > requirements.lock
	@rm -rf $(VENV)-lock build *.egg-info

clean: ## Remove .venv and all caches; data/ stays
	@rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

comma := ,
