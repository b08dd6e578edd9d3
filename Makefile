# `make run` boots a node and runs the nginx example; `make test` checks everything;
# `make conformance` runs upstream's own suite.

SHELL := /bin/bash
.PHONY: run test conformance bench clean help

help: ## Shows this
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/'

run: ## Builds Corten, boots a node here and runs examples/nginx.yaml until Ctrl-C
	@scripts/run

test: ## Format, lints, rules of the house, licences, unit and end-to-end tests
	@scripts/test

conformance: ## Upstream's conformance specs into conformance/report.md; FOCUS=… for some
	@scripts/conformance

bench: ## Measures the figures of SPECIFICATION.md into a table and target/bench.json
	@scripts/bench

clean: ## Removes what was built
	@. scripts/environment && rm -rf "$$CARGO_TARGET_DIR" target
