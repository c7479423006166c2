# Sharetray: what one does with this tree. `make help` lists it.
SHELL := bash
GO ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
BIN := bin/sharetray
DIR ?= assets/sample
SYSTEMS := linux windows darwin

PICTURES := docs/pictures

.PHONY: help build run test test-tools unit lint bench screenshots packages clean $(BIN)

help: ## show this
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 22

build: $(BIN) ## build bin/sharetray

$(BIN):
	@mkdir -p bin
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o $@ .

run: $(BIN) ## build it, share DIR (a small sample by default) and print its link
	@$(BIN) share web '$(DIR)'

test: test-tools lint unit ## everything that must pass

test-tools: ## install what the tests need from the system, or name it
	@.ci/test-tools
	@$(GO) build -modfile=packaging/tools.mod -o /dev/null github.com/goreleaser/nfpm/v2/cmd/nfpm

unit:
	$(GO) test -count=1 ./...
	SHARETRAY_CYCLES=1000 $(GO) test -count=1 -run TestManyCrashes ./agentcore
	SHARETRAY_FAULTS=all $(GO) test -count=1 -run Fault ./agentcore/fault
	$(GO) test -race -count=1 $$($(GO) list ./... | grep -v -e /bench -e /fault)

lint: ## gofmt, vet for three systems, staticcheck
	@test -z "$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go'))" || { gofmt -l $$(git ls-files -co --exclude-standard '*.go'); echo 'these files need gofmt'; exit 1; }
	@for system in $(SYSTEMS); do echo "vet for $$system"; GOOS=$$system CGO_ENABLED=0 $(GO) vet ./... || exit 1; done
	$(GO) vet -tags failpoints ./agentcore/...
	$(GO) tool staticcheck ./...

bench: $(BIN) ## measure it beside its peers, and write docs/benchmarks.md
	@agentcore/bench/install-peers.sh
	$(GO) run ./agentcore/bench -sharetray $(BIN) -out docs/benchmarks.md

screenshots: test-tools ## take the pictures of the documentation
	@mkdir -p $(PICTURES)
	SHARETRAY_PICTURES='$(abspath $(PICTURES))' $(GO) test -count=1 -run 'TestOnADesktop|TestPictures' .

packages: $(BIN) ## make a deb and an rpm, in dist
	@packaging/build.sh $(BIN) $(VERSION) dist deb rpm

clean: ## remove what was built
	rm -rf bin dist
