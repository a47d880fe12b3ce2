# Thin names for `python3 -m tools VERB`, which makes .venv and installs what the verb needs.
# `make test ARGS=nbval` hands arguments on; `make book PYTHON=python3.12` chooses the Python.
PYTHON ?= python3
ARGS ?=
VERBS = book test lab execute ledger bench portable lint

.DEFAULT_GOAL = book
.NOTPARALLEL:
.PHONY: help clean constraints $(VERBS)

$(VERBS):
	@$(PYTHON) -m tools $@ $(ARGS)

clean:
	@$(PYTHON) -m tools clean $(if $(ALL),--all) $(ARGS)

# The pins of constraints.txt, written anew from what .venv holds.
constraints:
	@$(PYTHON) -m tools constraints $(ARGS)

help:
	@$(PYTHON) -m tools --help

# A mistyped verb gets the same sentence as `python3 -m tools` gives.
.DEFAULT:
	@$(PYTHON) -m tools $@
