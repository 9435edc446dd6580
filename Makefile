# One line a target; .ci/run has the steps, and CI runs all of them.
.PHONY: help check test test-redis test-long lint bench dev man

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

check: ## what a change must pass, in some minutes: modules, vet, format, lint, tests
	.ci/run modules vet format lint test

test: ## the tests, with Go alone; what needs Redis or a browser runs if they are installed
	go test ./...

test-redis: ## the same, failing where redis-server or Chromium is missing
	WABLOCK_TEST_REQUIRE_REDIS=1 WABLOCK_TEST_REQUIRE_BROWSER=1 go test ./...

test-long: ## in random order, with the race detector and in the long form: about 15 minutes
	.ci/run race long

lint: ## formatters and linters, and the words
	.ci/run format lint

bench: ## every benchmark once; the figures of docs/performance.md and docs/rate-limiting.md
	go test ./... -run '^$$' -bench . -benchtime 1x -timeout 1h

dev: ## the whole system in one process, with nothing else installed
	go run ./cmd/wablock dev

man: ## write manual pages to bin/man
	go run ./cmd/wablock docs man bin/man
