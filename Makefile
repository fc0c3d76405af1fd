# The project's verbs. Everything that is built lies in $HUBGW_CACHE (~/.cache/hubgw), keyed by content; nothing needs a person.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
LAB := $(PYTHON) -m tools.lab
K ?=
NODE ?= hub
TOPOLOGY ?= bgp

.PHONY: help check test test-all lab vm demo shell down clean bench lock

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1: /p' $(MAKEFILE_LIST) | awk -F': ' '{ printf "  make %-10s %s\n", $$1, $$2 }'

check: ## format, types, imports, and the tests that need no kernel (under 2 minutes)
	@$(PYTHON) -m tools.check

test: check ## check, then everything in a lab VM of its own
	@$(PYTHON) -m tools.suite

test-all: check ## test, with the cases that take minutes
	@$(PYTHON) -m tools.suite --slow

lab: ## one lab case (K=name) in the VM that stays up
	@$(LAB) up
	@$(LAB) exec -- pytest tests/lab tests/contract -k '$(K)'

vm: ## boot the VM that stays up; commands go in with: python3 -m tools.lab exec -- COMMAND
	@$(LAB) up

demo: ## a hub, its branches and a VNet in the VM that stays up (TOPOLOGY=bgp)
	@$(PYTHON) -m tools.demo $(TOPOLOGY)

shell: ## a shell on a node of the demo (NODE=hub)
	@$(LAB) exec -- docker exec -it clab-$(TOPOLOGY)-$(NODE) bash

down: ## end the VM and the demo in it
	@$(LAB) down

clean: down ## remove the cache: root file systems, images, environments
	@$(LAB) clean

bench: ## the scale table, and build/bench.json
	@$(LAB) up
	@$(LAB) exec -- python -m bench
	@"$$($(PYTHON) -m tools.venv)/bin/python" -m bench --only ef --keep

lock: ## write requirements.lock anew from pyproject.toml
	@$(PYTHON) -m tools.venv lock
