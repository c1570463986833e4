# `make demo` runs the main job, `make test` proves it. Both make .venv first, from
# requirements.lock, and find it made the next time.

# Any Python from 3.11 on: make PYTHON=python3.12 demo
PYTHON ?= python3
# The torch that `make lock` writes down; pyproject.toml says how old a torch may be.
TORCH ?= 2.13.0

BIN := .venv/bin
# The last act of an installation is to write this file, and in it the folder it was made in:
# an environment that was cut short, moved, or has lost its interpreter is made anew.
LOCKED := .venv/.locked
INSTALLED := .venv/.installed
$(shell grep -qsxF '$(CURDIR)' $(LOCKED) && $(BIN)/python -c '' 2>/dev/null || rm -f $(LOCKED))

.DEFAULT_GOAL := help
.PHONY: help install demo test test-all lint types format bench lock clean

help: ## this list
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/  make \1\t\2/p' Makefile | expand -t 20

install: $(INSTALLED) ## .venv with the exact versions of requirements.lock, and noisepair in it

demo: install ## train on two noisy shots, denoise, and show the result: the folder demo
	$(BIN)/python -m noisepair demo --out demo --overwrite

test: install ## all tests but the slow ones, a process a core
	$(BIN)/python -m pytest -n auto

test-all: install ## the slow ones too
	$(BIN)/python -m pytest -n auto -m ''

lint: install ## style, format, and who may import whom
	$(BIN)/python -m ruff check
	$(BIN)/python -m ruff format --check
	$(BIN)/lint-imports --no-cache

types: install ## the types, strictly
	$(BIN)/python -m mypy

format: install ## put every file into the one format
	$(BIN)/python -m ruff check --fix
	$(BIN)/python -m ruff format

bench: install ## each measurement of benchmarks/, one after the other
	@set -e; for script in benchmarks/[a-z]*.py; do \
		echo "— $$script"; $(BIN)/python "$$script"; \
	done

# An editable install: the sources are the package. Only a change of its metadata repeats it.
$(INSTALLED): $(LOCKED) pyproject.toml
	$(BIN)/python -m pip install --no-deps --no-build-isolation --editable .
	@touch $@

# --clear: what an older lock brought must not linger.
$(LOCKED): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "noisepair needs Python 3.11 or newer, and '$(PYTHON)' is" \
			"$$($(PYTHON) --version 2>/dev/null || echo missing). Name another: make PYTHON=python3.12 …" >&2; \
		exit 1; }
	@echo "Making .venv: this fetches torch and takes minutes, once."
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --requirement requirements.lock
	@echo '$(CURDIR)' > $@

# A fresh environment, the newest version of everything that pyproject.toml asks for, written down.
# `+cpu` and the like are dropped: which build of torch fits is for each machine to say.
lock: ## resolve all dependencies anew: make lock TORCH=2.13.0
	rm -rf build/lock
	$(PYTHON) -m venv build/lock/venv
	build/lock/venv/bin/python -c 'import tomllib; \
		page = tomllib.load(open("pyproject.toml", "rb")); \
		print(*page["project"]["dependencies"], *page["dependency-groups"]["dev"], sep="\n")' \
		> build/lock/wanted.txt
	build/lock/venv/bin/python -m pip install torch==$(TORCH) --requirement build/lock/wanted.txt
	@{ echo "# The exact environment of \`make install\`: to run and to develop noisepair."; \
		echo "# Written by \`make lock\`; the bounds that users need are in pyproject.toml."; \
		build/lock/venv/bin/python -m pip freeze --all --exclude pip | sed 's/+[a-z0-9.]*$$//'; \
	} > build/lock/requirements.lock
	mv build/lock/requirements.lock requirements.lock
	rm -rf build/lock

clean: ## remove the environment and the caches; what you made yourself stays
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
