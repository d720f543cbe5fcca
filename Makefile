# make          the command, stripped, as bin/cistern
# make test     all tests, those with genuine clients included
# make check    everything that CI runs, in CI's order
# make bench    side by side with other servers, in up to 15 minutes
# Each step that check takes is a target of its own.

VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
# The stripped binary stays below this many bytes.
MAX_SIZE := 30000000
# Seconds that a fuzz target has; those that read what sources send have more.
FUZZTIME ?= 3
FUZZTIME_SOURCES ?= 40

# Absolute, so that it serves the modules below the root, too.
STATICCHECK := go tool -modfile=$(CURDIR)/tools/go.mod staticcheck

.NOTPARALLEL:
.PHONY: build test check lint archtest race fuzz conformance size quickstart readme-test bench bench-full profile

build:
	@echo "== build: bin/cistern $(VERSION)"
	CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o bin/cistern ./cmd/cistern

test:
	@echo "== test: every package, then genuine clients against fresh servers"
	go test ./...
	cd bench && go test ./...
	cd conformance && go test ./...
	cd conformance/rclone && go test ./...

# The last step is the README's test command, so that go test's own lines end the output.
check: lint archtest build size race fuzz quickstart readme-test

lint:
	@echo "== lint: gofmt, go vet, staticcheck; the modules below the root too"
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "gofmt -w is due for:"; echo "$$unformatted"; exit 1; fi
	go vet ./...
	$(STATICCHECK) ./...
	cd conformance && go vet ./... && $(STATICCHECK) ./...
	cd conformance/rclone && go vet ./... # staticcheck would go through all of rclone, for a minute
	cd bench && go vet ./... && $(STATICCHECK) ./...

archtest:
	@echo "== archtest: who imports whom, package comments, goroutines, linked modules"
	go test -count=1 ./internal/archtest

size: build
	@size=$$(wc -c <bin/cistern); echo "== size: bin/cistern has $$size bytes, $(MAX_SIZE) are allowed"; test "$$size" -le $(MAX_SIZE)

race:
	@echo "== race: every package under the race detector"
	go test -race ./...

fuzz:
	@echo "== fuzz: every fuzz target"
	.ci/fuzz $(FUZZTIME) $(FUZZTIME_SOURCES)

conformance:
	@echo "== conformance: genuine clients against fresh servers"
	cd conformance && go test -count=1 ./...
	cd conformance/rclone && go test -count=1 ./...

quickstart:
	@echo "== quickstart: the README's commands, in a copy of the tree"
	.ci/readme quickstart

readme-test:
	@echo "== test: the README's test command"
	.ci/readme test

# Servers that are missing are installed; the table goes to docs/benchmarks.md.
bench:
	@echo "== bench: side by side with other servers, up to 15 minutes"
	cd bench && go run . -markdown ../docs/benchmarks.md -json ../docs/benchmarks.jsonl

bench-full:
	@echo "== bench-full: the same with what takes long"
	cd bench && go run . -full -rounds 5 -markdown ../docs/benchmarks.md -json ../docs/benchmarks.jsonl

# make profile WORKLOAD=miss-large leaves CPU, allocation, block and mutex profiles in bin/profiles.
profile:
	@echo "== profile: $(WORKLOAD), into bin/profiles"
	@test -n "$(WORKLOAD)" || { echo "say which: WORKLOAD=miss-large"; exit 1; }
	cd bench && go run . -only $(WORKLOAD) -rounds 1 -profile $(CURDIR)/bin/profiles
