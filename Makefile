# make demo   sets up and runs the main job: a batch under a lock, the leader killed in the middle
# make test   sets up and runs all tests
# make help   lists the rest
#
# Needed: Go. With a C compiler the tests run under the race detector. Tests that
# need more (root to cut power and networks, PostgreSQL) say what is missing and are skipped;
# .ci/run installs it and does not let them be skipped.

SHELL := /bin/bash
.DEFAULT_GOAL := build

BIN := bin
# Packages of the main module whose tests run under the race detector. The
# simulation and the end-to-end tests have steps of their own; the log is damaged
# in every way there is without the detector, which would take ten times as long.
UNIT = $$(go list ./... | grep -v -e /chaos -e /cmd/conch/e2e)
LOG := ./raftnode/wal
RACE := $(shell test "$$(go env CGO_ENABLED)" = 1 && command -v "$$(go env CC)" >/dev/null 2>&1 && echo -race)
STATICCHECK = go tool -modfile=$(CURDIR)/tools/go.mod staticcheck

.PHONY: help build test check unit simulation shell end-to-end examples-test modules-test demo example-batchjob example-campaign example-cronleader example-fencedwriter sim chaos planted torture crashes overload failover bench microbench fuzz generate clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-22s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build bin/conch and the examples
	go build -o $(BIN)/conch ./cmd/conch
	cd examples && go build -o ../$(BIN)/ ./batchjob ./campaign ./cronleader ./fencedwriter ./demo

# ---- tests --------------------------------------------------------------------

STEPS := check unit simulation end-to-end examples-test modules-test demo

test: ## everything: checks, unit tests, simulation, end to end, examples, other modules, demo
	@begin=$$SECONDS; report=; \
	for step in $(STEPS); do \
		start=$$SECONDS; echo; echo "=== $$step"; \
		if ! $(MAKE) --no-print-directory $$step; then \
			echo; printf "$$report"; echo "make test: FAILED in $$step ($$((SECONDS-start)) s); make $$step runs it alone"; exit 1; \
		fi; \
		report="$$report  ok  $$(printf %-14s $$step) $$((SECONDS-start)) s\n"; \
	done; \
	echo; printf "$$report"; echo "make test: OK, everything passed in $$((SECONDS-begin)) s"

check: ## gofmt, go vet and staticcheck
	@bad=$$(git ls-files -co --exclude-standard '*.go' | grep -v '\.pb\.go$$' | xargs gofmt -l); \
		if [ -n "$$bad" ]; then echo "gofmt would change:"; echo "$$bad"; exit 1; fi
	go vet ./...
	cd examples && go vet ./...
	$(STATICCHECK) ./...
	cd examples && $(STATICCHECK) ./...

unit: ## unit tests, golden scripts, fuzz corpora, import direction and purity
	@test -n "$(RACE)" || echo "there is no C compiler: the tests run without the race detector"
	go test $(RACE) -timeout 10m $$(go list ./... | grep -v -e /chaos -e /cmd/conch/e2e -e /raftnode/wal)
	go test $(RACE) -short -timeout 10m $(LOG)

simulation: ## the short part of the simulations, and every damage of a log
	go test $(RACE) -timeout 12m ./chaos/shell
	go test -timeout 12m $$(go list ./chaos/... | grep -v /chaos/shell) $(LOG)

end-to-end: ## real processes: killed, stopped, cut from power
	go test -count=1 -v -timeout 10m ./cmd/conch/e2e

examples-test: ## the tests of the examples, with SQLite and PostgreSQL
	cd examples && go test -count=1 -timeout 10m ./...

# Modules of their own keep what they need out of the main one: gocron, and a
# real etcd as the model of the keys.
modules-test: ## the tests of the modules beside: gocron's adapters, etcd as the model, the benchmark without its peers
	cd sdk/gocron && go vet ./... && go test -count=1 -timeout 5m ./...
	cd chaos/etcdmodel && go vet ./... && go test -count=1 -timeout 10m ./...
	cd bench && go vet ./... && go test -short -count=1 -timeout 10m ./...

# ---- examples -----------------------------------------------------------------

demo: build ## the main job, with the leader killed in the middle
	$(BIN)/demo

example-batchjob: build ## three runners compete for an inbox of files on a cluster of their own
	examples/batchjob/run $(BIN)

example-campaign: build ## a primary with standbys, a directed hand-over, and a client that follows
	$(BIN)/campaign show --conch $(BIN)/conch

example-cronleader: build ## three cron workers, one schedule, the worker that runs it killed
	$(BIN)/cronleader show --conch $(BIN)/conch
	$(BIN)/cronleader show --conch $(BIN)/conch --by locker

example-fencedwriter: build ## a paused writer wakes up late: with the fence, and without
	$(BIN)/fencedwriter race --conch $(BIN)/conch
	$(BIN)/fencedwriter race --conch $(BIN)/conch --fence off

# ---- longer runs --------------------------------------------------------------

# make sim SEED=42 replays one run and prints what happens; without SEED, SEEDS many.
SEED :=
FROM := 1
SEEDS := 2000
JOBS := 2
# The simulation is one goroutine: it need not be stopped by signals.
SIMULATE = GODEBUG=asyncpreemptoff=1 go run ./chaos/simulate

sim: ## simulate: SEED=42 replays one run, otherwise SEEDS=2000 of them FROM=1 on, in JOBS=2 processes
ifneq ($(SEED),)
	$(SIMULATE) -seed "$(SEED)"
else
	$(SIMULATE) -from $(FROM) -seeds $(SEEDS) -jobs $(JOBS)
endif

# Both run every layer that there is, and fail when too little was done for their
# length: see chaos/torture. The seed comes from the clock and is printed;
# TORTURE="-seed 42" begins there, and "-sim-length 4s" makes the simulation's runs
# shorter, and more.
CHAOS := 10m
HOURS := 8
TORTURE :=

chaos: ## CHAOS=10m of all layers that break things, from a seed of the clock
	go run ./chaos/torture -for $(CHAOS) $(TORTURE)

torture: ## HOURS=8 of the same, unattended; the report is in reports/
	go run ./chaos/torture -for $(HOURS)h $(TORTURE)

FOR := 5m

# A test by its name: go test is content when there is none. $(call passed,NAME)
# reads what go test -v says and fails unless the test was run and passed.
passed = awk -v name=$(1) '{ print; fflush() } index($$0, "--- PASS: " name " ") == 1 { ok = 1 } END { if (!ok) { print name " was not run, or did not pass"; exit 1 } }'

shell: ## servers and clients in virtual time, seeds FROM=1 on for FOR=5m
	@set -o pipefail; \
		CONCH_SHELL_FOR=$(FOR) CONCH_SHELL_FROM=$(FROM) go test $(RACE) -count=1 -v -timeout 0 -run '^TestCell$$' ./chaos/shell 2>&1 | $(call passed,TestCell)

OPERATIONS := 1000

crashes: ## power cut before each of OPERATIONS=1000 operations on a node's disk
	@set -o pipefail; \
		CONCH_CRASH_OPERATIONS=$(OPERATIONS) go test -count=1 -v -timeout 0 -run '^TestCrashOfTheWholeDirectory$$' ./raftnode 2>&1 | $(call passed,TestCrashOfTheWholeDirectory)

OVERLOAD := 15s

overload: ## OVERLOAD=15s of hostile clients: who is served meanwhile, and how soon all is as before
	@set -o pipefail; \
		CONCH_OVERLOAD=$(OVERLOAD) go test -count=1 -v -timeout 10m -run '^TestOverloadIsOver$$' ./coordinator 2>&1 | $(call passed,TestOverloadIsOver)

LENGTH := 10m
TESTS :=

# TestDiskFull moves hundreds of megabytes, which takes such a build minutes of turns that are too long.
failover: ## LENGTH=10m of killed leaders on a build with the race detector
	@test -n "$(RACE)" || echo "there is no C compiler: the servers have no race detector"
	go build $(RACE) -o $(BIN)/conch-race ./cmd/conch
	CONCH_BINARY=$(CURDIR)/$(BIN)/conch-race CONCH_E2E_LENGTH=$(LENGTH) go test -count=1 -v -timeout 0 -skip '^TestDiskFull$$' $(if $(TESTS),-run '$(TESTS)') ./cmd/conch/e2e

planted: ## switch on every planted bug and see what finds it; some 50 minutes. WRITE=1: the table goes into chaos/README.md
	go run ./chaos/planted $(if $(WRITE),-write chaos/README.md)

BENCH := -quick

bench: ## the comparison with peers; BENCH= runs all of it, some 45 minutes
	cd bench && go run . $(BENCH)

microbench: ## the benchmarks of the packages
	go test -run '^$$' -bench . -benchmem $(UNIT)

FUZZTIME := 30s

fuzz: ## every fuzz target for FUZZTIME=30s
	go run ./chaos/fuzz -each $(FUZZTIME)

# ---- code that is written by tools -------------------------------------------

PLUGINS := $(CURDIR)/.cache/bin

generate: ## api/*.pb.go from api/conch.proto; needs protoc (apt-get install protobuf-compiler)
	@command -v protoc >/dev/null || { echo "protoc is missing: apt-get install protobuf-compiler"; exit 1; }
	go build -modfile=tools/go.mod -o $(PLUGINS)/ google.golang.org/protobuf/cmd/protoc-gen-go \
		github.com/planetscale/vtprotobuf/cmd/protoc-gen-go-vtproto storj.io/drpc/cmd/protoc-gen-go-drpc
	PATH="$(PLUGINS):$$PATH" protoc -I api \
		--go_out=api --go_opt=paths=source_relative \
		--go-vtproto_out=api --go-vtproto_opt=paths=source_relative,features=marshal+unmarshal+size \
		--go-drpc_out=api --go-drpc_opt=paths=source_relative,protolib=github.com/planetscale/vtprotobuf/codec/drpc \
		conch.proto

clean: ## remove what was built
	rm -rf $(BIN) .cache
