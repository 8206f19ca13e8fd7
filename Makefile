# Picket's commands. `make help` lists them; CONTRIBUTING.md says when to use which.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory

# VERSION is what the binaries say they are, IMAGE what the image is called.
VERSION = $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
IMAGE ?= picket:$(VERSION)
GOARCH ?= $(shell go env GOARCH)
BIN ?= bin
# SOURCE_DATE_EPOCH is what images and archives take for the time: the commit's.
export SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)

# ARGS goes to the demo: make demo ARGS="--profile fast --scenario isolated-node".
ARGS ?=
# FUZZTIME is spent on each fuzz target, BENCH selects benchmarks by name.
FUZZTIME ?= 30s
BENCH ?= .
# SEEDS is how many schedules the simulator runs: for sim in all, for mutants at
# most for each mutant.
SEEDS ?=

# Everything but the cluster tests, which start a control plane and take long.
UNIT = $$(go list ./... | grep -v /test/cluster)

##@ See it work

.PHONY: demo
demo: ## Cut a node's power on a real control plane and watch (ARGS="--list" for more)
	@go run ./test/cluster $(ARGS)

##@ Test

.PHONY: test
test: ## Run all tests: unit, property and cluster (no root, no Docker; up to 30 min)
	go test $(UNIT)
	go test -v -count=1 -timeout 60m ./test/cluster/...

.PHONY: monitoring
monitoring: ## Let Prometheus' own rule engine read the alerts and the dashboard, and fire each alert
	cd test/tools/monitoring && go test ./...

.PHONY: lab
lab: ## Fence real nodes: QEMU, systemd, kubelet, watchdogs, iSCSI (root; up to 60 min)
	go run ./test/lab run fencing

.PHONY: lab-rejoin
lab-rejoin: ## Let real nodes come back with stale volumes: multipath, LUKS, krbd (root; up to 75 min)
	go run ./test/lab run rejoin

.PHONY: lab-smoke
lab-smoke: ## Cut the power of one real node (root; up to 10 min)
	go run ./test/lab run power-cut

.PHONY: check
check: generate-check lint race ## Run what CI runs before the tests: generated files, linters, race detector

.PHONY: race
race: ## Run the unit tests under the race detector
	CGO_ENABLED=1 go test -race $(UNIT)

.PHONY: model
model: ## Check the protocol with Spin: every rule, and every rule broken (spin, gcc; up to 5 min)
	go run ./test/model

.PHONY: model-full
model-full: ## The same with the large cases (9 GB of memory; up to 1 h)
	go run ./test/model -full

.PHONY: sim
sim: ## Run SEEDS (200000) schedules of the cores in a simulated cluster, faults and all
	go run ./test/sim -j "$$(nproc)" -seeds $(or $(SEEDS),200000)

.PHONY: mutants
mutants: ## Break the cores in many small ways: the simulator must notice each (SEEDS at most, 60000)
	go run ./test/mutants -seeds $(or $(SEEDS),60000)

.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME (30s)
	@targets=$$(grep -rHoE --include='*_test.go' '^func Fuzz\w+' . | sed -E 's,^(.*)/[^/]*:func ,\1 ,') \
		|| { echo "make fuzz: there is no fuzz target" >&2; exit 1; }; \
	while read -r package target; do \
		echo "==> $$package $$target"; \
		go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "$$package" </dev/null; \
	done <<<"$$targets"

.PHONY: bench
bench: ## Measure the budgets and the hot paths (BENCH=name for one)
	go test -run '^$$' -bench '$(BENCH)' -benchmem -timeout 60m ./...

##@ Write

.PHONY: lint
lint: ## Run go vet, golangci-lint and buf lint
	go vet ./...
	go vet -tags testdevice ./...
	@tools=$$(test/tools/build lint); set -x; \
	"$$tools/golangci-lint" run; \
	"$$tools/golangci-lint" run --build-tags testdevice
	@tools=$$(test/tools/build generate); set -x; "$$tools/buf" lint proto

.PHONY: generate
generate: ## Generate the peer protocol, the deep copies, the CRDs and the manifests
	@tools=$$(test/tools/build generate); export PATH="$$tools:$$PATH"; set -x; \
	(cd proto && buf generate); \
	controller-gen object crd paths=./proto/api/v1alpha1 output:crd:dir=deploy/crds
	@$(MAKE) chart

.PHONY: chart
chart: ## Render the chart into the kustomize base and deploy/picket.yaml
	go test ./deploy -run '^TestPolicyValues$$' -update
	deploy/generate

.PHONY: generate-check
generate-check: ## Fail if generate changes anything
	@before=$$(mktemp -d); trap 'rm -rf "$$before"' EXIT; \
	cp -r --parents proto deploy "$$before"; \
	$(MAKE) generate; \
	for dir in proto deploy; do diff -ru "$$before/$$dir" "$$dir" || stale=1; done; \
	[[ -z $${stale-} ]] || { echo "generated files are stale: commit what \`make generate\` wrote (the diff above)" >&2; exit 1; }

##@ Build

# build PACKAGE BINARY: static, so that it runs from an empty image and on any host;
# the same, byte for byte, from the same source, version and toolchain.
build = CGO_ENABLED=0 GOOS=linux GOARCH=$(GOARCH) GOAMD64=v1 GOARM64=v8.0 GOFLAGS= go build -v -trimpath -buildvcs=false \
	-ldflags "-s -w -X main.version=$(VERSION)" -o $(BIN)/$(2) $(1)

.PHONY: build
build: ## Build the static binaries into bin/
	$(call build,./agent,picket-agent)
	$(call build,./agent/holder,picket-holder)
	$(call build,./controller,picket-controller)
	$(call build,./controller/kubectl-picket,kubectl-picket)

.PHONY: image
image: build ## Build the container image IMAGE for GOARCH with docker or buildah
	@if docker info >/dev/null 2>&1; then tool=(docker build); \
	elif command -v buildah >/dev/null; then tool=(buildah bud --isolation chroot --identity-label=false --timestamp "$(SOURCE_DATE_EPOCH)"); \
	else echo "make image needs a docker whose daemon answers, or buildah; install one of them" >&2; exit 1; fi; \
	set -x; "$${tool[@]}" --platform linux/$(GOARCH) --build-arg VERSION="$(VERSION)" --tag "$(IMAGE)" .

.PHONY: release
release: ## Build all of a release into dist/: binaries, image, chart, YAML, SBOM, checksums
	VERSION="$(VERSION)" deploy/release

.PHONY: clean
clean: ## Remove what build made (caches outside the checkout stay)
	rm -rf bin dist

.PHONY: help
help: ## List these targets
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  %-15s %s\n", $$1, $$2 }' Makefile
