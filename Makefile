# Every target works by itself on a fresh checkout that has Go and make.

# PKG is what `make test` tests. BENCH_ARGS are given to the load generator.
PKG ?= ./...
BENCH_ARGS ?=
# CURVE says at how many stored requests bench-curve measures; 10000000 takes 25 GB of
# disk and 20 to 40 minutes. BACKLOG is how many requests the large organization has to
# do in bench-fairness.
CURVE ?= 10000,100000,1000000
BACKLOG ?= 200000
# SEARCH_ARGS are given to the measurement of the colleague search.
SEARCH_ARGS ?=
# PLATFORM_ARGS are given to the measurement of bulk pushes.
PLATFORM_ARGS ?=
# E2E_ARGS are given to the end-to-end test; -long runs every fault and the large sizes.
E2E_ARGS ?= -long
# CHAOS_ARGS are given to the chaos test, for example '-minutes 30 -seed 7' for a long run.
CHAOS_ARGS ?=
# FUZZ_TIME is how long each fuzz target runs, or 1000x for so many inputs. FUZZ_ARGS='-run
# outbound' runs only some.
FUZZ_TIME ?= 10s
FUZZ_ARGS ?=

# The race detector does not watch SQLite, which is C translated by a machine and
# locks for itself (its driver is watched). Watching it would take a large part of the
# time of all tests.
UNWATCHED := modernc.org/sqlite/lib modernc.org/libc/... modernc.org/memory

LINT_VERSION := 2.15.0
LINT_MODULE := github.com/golangci/golangci-lint/v2/cmd/golangci-lint
# TEMPL makes Go of the console's templates. Its version is that of go.mod, and of the
# go:generate line in internal/console.
TEMPL := go run github.com/a-h/templ/cmd/templ@v0.3.1118
SERVICES := go run ./test/services/run
# ALIKE has the compiler work as `build` does: without cgo and without the paths of this
# machine. What one target has compiled no other compiles again. Only the tests are compiled
# once more, since the race detector needs cgo.
ALIKE := CGO_ENABLED=0 GOFLAGS='$(strip $(GOFLAGS) -trimpath)'
# Tests mostly wait: for a condition, a limit, a time. More of them at once than there are
# processors, which is Go's default, keep the processors busy.
AT_ONCE ?= 4
# A test that fails beside others is run once more, alone, and told of: on a busy machine a
# time may be missed. It has to pass then. Where more than a dozen fail, cases and all above
# them counted, or where there is a data race, nothing is run again.
TESTS := go run gotest.tools/gotestsum@v1.13.0
AGAIN := --rerun-fails=1 --rerun-fails-max-failures=12 --rerun-fails-abort-on-data-race
# STAMP has a binary say its version, and leaves out what only a debugger needs.
STAMP = -s -w -X usersync/internal/app.Version=$(VERSION)
VERSION ?= $(shell git describe --always --dirty 2>/dev/null || echo dev)

# The linter of this project is found before any other version on the machine.
export PATH := $(CURDIR)/.bin:$(PATH)

.PHONY: help run welcome test fuzz lint lint-api eval bench bench-curve bench-docs bench-fairness bench-search bench-platforms build generate e2e chaos transcript

help: ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

run: ## start everything in one process; nothing else is needed
	@echo "compiling: a minute or two on a new machine, then a moment"
	@$(ALIKE) go build -ldflags '$(STAMP)' -o bin/ ./cmd/usersync
	@exec bin/usersync serve

welcome: ## play the welcome series of docs/welcome-series.yaml against `make run`, and print the story
	$(ALIKE) go run ./cmd/usersync follow-ups play docs/welcome-series.yaml

test: ## test with the race detector on PostgreSQL and Redis; PKG=./internal/store/... for a part
	$(SERVICES) -cc -browser -- $(TESTS) --format pkgname --hide-summary=skipped $(AGAIN) --packages='$(PKG)' -- \
		-race $(UNWATCHED:%=-gcflags=%=-race=false) -count=1 -parallel $(AT_ONCE) -timeout 12m

# API_LINTERS read the description as other tools do.
API_LINTERS := @redocly/cli@2.77.0 @stoplight/spectral-cli@6.16.3

lint-api: ## check the description of the API by redocly and spectral, which npm brings into .bin
	@set -e; command -v npm > /dev/null || { apt-get update -qq && apt-get install -y -qq npm > /dev/null; }; \
	npm install --no-save --no-audit --no-fund --loglevel=error --prefix .bin/npm $(API_LINTERS) || { \
	echo "npm could not bring the linters: THE DESCRIPTION WAS NOT CHECKED"; exit 0; }; \
	.bin/npm/node_modules/.bin/redocly lint --format=stylish internal/api/openapi/openapi.yaml; \
	.bin/npm/node_modules/.bin/spectral lint --fail-severity=error --display-only-failures internal/api/openapi/openapi.yaml

fuzz: ## run every fuzz target for FUZZ_TIME and print a table; FUZZ_ARGS='-run rowfile' for some
	go run ./test/fuzz -time $(FUZZ_TIME) $(FUZZ_ARGS)

lint: ## check format, vet, golangci-lint, the rules of test/lint and that templates are generated
	@files=$$(gofmt -l .) || exit 1; \
	if [ -n "$$files" ]; then echo "not gofmt'ed:"; echo "$$files"; exit 1; fi
	$(ALIKE) go vet ./...
	@set -e; golangci-lint version 2>/dev/null | grep -q 'version $(LINT_VERSION) ' || { \
	echo "installing golangci-lint $(LINT_VERSION) into .bin"; \
	GOBIN='$(CURDIR)/.bin' go install $(LINT_MODULE)@v$(LINT_VERSION); }; \
	$(ALIKE) golangci-lint run ./...
	$(ALIKE) go run ./test/lint ./internal/... ./cmd/...
	@set -e; made=$$(mktemp -d); trap 'rm -rf "$$made"' EXIT; cp -R internal/console/. "$$made"; \
	(cd "$$made" && $(TEMPL) generate -path . > "$$made.log" 2>&1) || { cat "$$made.log"; exit 1; }; rm -f "$$made.log"; \
	diff -rq internal/console "$$made" || { echo "the templates are not generated: make generate"; exit 1; }

eval: ## score the colleague search on labelled cases and print what fails
	go run ./test/eval

bench: ## measure speed with durable commits; BENCH_ARGS='…' for the load generator, POSTGRES='-postgres jit=off' for settings
	$(SERVICES) -durable $(POSTGRES) -- env $(ALIKE) go run ./test/load $(BENCH_ARGS)

bench-curve: ## measure the cost beside more and more stored requests; CURVE=10000,100000 for sizes
	$(SERVICES) -durable $(POSTGRES) -- env $(ALIKE) go run ./test/load -curve $(CURVE) $(BENCH_ARGS)

bench-fairness: ## measure what a small organization notices of a large one; BACKLOG=50000 for less
	$(SERVICES) -durable $(POSTGRES) -- env $(ALIKE) go run ./test/load -fairness $(BACKLOG) $(BENCH_ARGS)

bench-docs: ## measure speed, fairness and the curve, and write their tables into docs/
	$(MAKE) bench BENCH_ARGS='-write docs/benchmarks.md $(BENCH_ARGS)'
	$(MAKE) bench-fairness BENCH_ARGS='-write docs/benchmarks.md $(BENCH_ARGS)'
	$(MAKE) bench-curve BENCH_ARGS='-write docs/benchmarks.md -explain docs/hot-statements.md $(BENCH_ARGS)'

bench-search: ## measure the colleague search with 1,000,000 people; SEARCH_ARGS='-people 100000' for less
	$(SERVICES) -durable -- env $(ALIKE) go run ./test/search $(SEARCH_ARGS)

bench-platforms: ## measure bulk pushes to fakes of all platforms within their limits; PLATFORM_ARGS='-users 100 -platforms mailchimp' for less
	$(ALIKE) go run ./test/platforms $(PLATFORM_ARGS)

build: ## build static binaries into bin/
	$(ALIKE) go build -ldflags '$(STAMP)' -o bin/ ./cmd/...

generate: ## write the generated files anew
	go generate ./...
	go test -p 1 -run 'TestConnector$$' $$(go list -f '{{range .XTestImports}}{{if eq . "usersync/internal/connector/connectortest"}}{{$$.ImportPath}} {{end}}{{end}}' ./internal/connector/*/) -update

transcript: ## play a newcomer's first hour and write docs/transcript.md
	bash test/transcript/transcript.sh > docs/transcript.md

e2e: ## kill parts of the running service and prove that nothing is lost; E2E_ARGS='…' for sizes
	$(SERVICES) -- go test -count=1 -timeout 15m -v ./test/e2e/ $(E2E_ARGS)

chaos: ## inflict every fault on the deployed system under load, beside a harmful tenant; CHAOS_ARGS='-minutes 30 -seed 7' for long
	$(SERVICES) -- go test -count=1 -timeout 0 -v ./test/chaos/ -harm $(CHAOS_ARGS)
