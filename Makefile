# Each target makes .venv by itself (see .ci/venv); PYTHON=... names the interpreter to start from.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo applications test lint bench docs dev core
export PYTHON

help:
	@echo "make demo    train on real text and write new text, in Chinese and English (under 10 minutes)"
	@echo "make applications"
	@echo "             train and use the five applications on real text (about 7 minutes)"
	@echo "make test    run the tests"
	@echo "make lint    run ruff and mypy"
	@echo "make bench   run all benchmarks and write docs/benchmarks.md"
	@echo "make docs    write docs/reference.md from the docstrings"

core:
	@.ci/venv

dev:
	@.ci/venv dev

demo: core
	@.venv/bin/python examples/demo.py

applications: core
	@.ci/venv tasks
	@.venv/bin/python examples/applications.py

test: dev
	@.venv/bin/python -m pytest -n auto --maxprocesses 4 --dist loadfile --cov --cov-report=term:skip-covered

lint: dev
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check .
	@.venv/bin/mypy

bench: dev
	@.ci/venv bench
	@for script in bench/*.py; do \
	  case $$script in bench/render.py|bench/_*) ;; *) echo "$$script" >&2; .venv/bin/python "$$script";; esac; \
	done
	@.venv/bin/python bench/render.py

docs: dev
	@.venv/bin/python docs/reference.py
