# make          the command, stripped, as bin/cistern
# make test     all tests, those against the genuine SDK included
# make check    everything that CI runs, in CI's order
# Each step that check takes is a target of its own.

VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
# The stripped binary stays below this many bytes.
MAX_SIZE := 30000000
# Seconds that all fuzz targets have together.
FUZZTIME ?= 100

# Absolute, so that it serves the modules below the root, too.
STATICCHECK := go tool -modfile=$(CURDIR)/tools/go.mod staticcheck

.NOTPARALLEL:
.PHONY: build test check lint archtest race fuzz conformance size quickstart readme-test

build:
	@echo "== build: bin/cistern $(VERSION)"
	CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o bin/cistern ./cmd/cistern

test:
	@echo "== test: every package, then the genuine SDK against a fresh server"
	go test ./...
	cd conformance && go test ./...

# The last step is the README's test command, so that go test's own lines end the output.
check: lint archtest build size race fuzz quickstart readme-test

lint:
	@echo "== lint: gofmt, go vet, staticcheck; the modules below the root too"
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "gofmt -w is due for:"; echo "$$unformatted"; exit 1; fi
	go vet ./...
	$(STATICCHECK) ./...
	cd conformance && go vet ./... && $(STATICCHECK) ./...

archtest:
	@echo "== archtest: who imports whom, package comments, goroutines, linked modules"
	go test -count=1 ./internal/archtest

size: build
	@size=$$(wc -c <bin/cistern); echo "== size: bin/cistern has $$size bytes, $(MAX_SIZE) are allowed"; test "$$size" -le $(MAX_SIZE)

race:
	@echo "== race: every package under the race detector"
	go test -race ./...

fuzz:
	@echo "== fuzz: every fuzz target, $(FUZZTIME) seconds together"
	.ci/fuzz $(FUZZTIME)

conformance:
	@echo "== conformance: the genuine SDK against a fresh server"
	cd conformance && go test -count=1 ./...

quickstart:
	@echo "== quickstart: the README's commands, in a copy of the tree"
	.ci/readme quickstart

readme-test:
	@echo "== test: the README's test command"
	.ci/readme test
