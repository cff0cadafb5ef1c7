# `make demo` shows the product; `make test` proves it. Both install what this machine lacks, after saying so.
# `make help` lists everything.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# One target directory outside of the checkout, shared by every clone: RocksDB and wasmtime are built once.
export CARGO_TARGET_DIR ?= $(HOME)/.cache/pelton/target
# With ccache in front of the C++ compiler a second profile or a changed feature costs seconds, not 23 minutes.
export PATH := /usr/lib/ccache:$(PATH)

PROFILE_DIR := $(CARGO_TARGET_DIR)/release
export PELTON_BIN ?= $(PROFILE_DIR)/pelton
export PELTON_PV_COUNT_WASM ?= $(CARGO_TARGET_DIR)/plugins/pv_count.wasm
export PELTON_HOSTILE_WASM ?= $(CARGO_TARGET_DIR)/plugins/hostile.wasm
export PELTON_PYTHON ?= $(CARGO_TARGET_DIR)/venv/bin/python
export PELTON_HOSTILE_INTERCEPTOR_WASM ?= $(CARGO_TARGET_DIR)/plugins/hostile-interceptor.wasm
export PELTON_HOSTILE_PARTITIONER_WASM ?= $(CARGO_TARGET_DIR)/plugins/hostile-partitioner.wasm
export PELTON_FLAT_GUESTS ?= $(CARGO_TARGET_DIR)/plugins/flat
export PELTON_ASC ?= $(CARGO_TARGET_DIR)/assemblyscript
# Where the built plugins, the examples in other languages and the clients' jars and packages are.
export PELTON_PLUGINS ?= $(CARGO_TARGET_DIR)/plugins
export PELTON_CLIENTS ?= $(CARGO_TARGET_DIR)/clients
CARGO := cargo
HAS_GO := command -v go >/dev/null && printf '1.24\n%s\n' "$$(go env GOVERSION | sed 's/^go//')" | sort -C -V
BUILD_FLAGS := --release --locked

# --- demo -------------------------------------------------------------------------------------------------
INPUT ?=
LINES ?= 200000
KILLS ?= 3
KEEP ?= 0
SEED ?=

.PHONY: help
help: ## What can be made
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

.PHONY: demo
demo: build ## Count page views exactly once while the broker is killed (INPUT=FILE LINES=N KILLS=N KEEP=1 SEED=N)
	@"$(PELTON_BIN)" demo --plugin "$(PELTON_PV_COUNT_WASM)" --lines $(LINES) --kills $(KILLS) \
	  $(if $(INPUT),--input "$(INPUT)") $(if $(SEED),--seed $(SEED)) $(if $(filter 1,$(KEEP)),--keep)

# --- build ------------------------------------------------------------------------------------------------
.PHONY: build
build: bootstrap plugins ## The `pelton` binary and the plugins
	@# The whole workspace: one set of features, so that tests and demo share every artefact.
	@$(CARGO) build $(BUILD_FLAGS) --workspace

# Crate : file below $(PELTON_PLUGINS), without .wasm.
READY := pelton-latency:latency pelton-audit:audit pelton-mask:mask pelton-schema-check:schema-check \
         pelton-dedup:dedup pelton-geo-partitioner:geo-partitioner pelton-key-partitioner:key-partitioner
GUESTS := pelton-hostile-interceptor:hostile-interceptor pelton-hostile-partitioner:hostile-partitioner \
          pelton-stamp:stamp bench-identity:identity bench-filter:filter bench-redact:redact

.PHONY: plugins
plugins: bootstrap ## The Wasm plugins, from source
	@plugins/build.sh pv-count "$(PELTON_PV_COUNT_WASM)"
	@plugins/build.sh pelton-hostile "$(PELTON_HOSTILE_WASM)"
	@for guest in $(READY) $(GUESTS); do plugins/build.sh $${guest%%:*} "$(PELTON_PLUGINS)/$${guest##*:}.wasm"; done
	@runtime/engine/tests/flat-guests.sh "$(PELTON_FLAT_GUESTS)"

.PHONY: sdks
sdks: bootstrap ## The unit tests of the SDKs that cargo does not know
	@sdk/c/test.sh sdk/c/tests/*_test.c
	@sdk/assemblyscript/test.sh
	@cd sdk/js && node --test sdk.test.js >/dev/null || node --test sdk.test.js
	@cd sdk/python && PYTHONDONTWRITEBYTECODE=1 python3 -m unittest discover -q tests
	@if $(HAS_GO); then cd sdk/go && go test ./...; else echo "no Go 1.24 here: sdk/go is not tested"; fi

.PHONY: examples
examples: bootstrap ## The examples in C, AssemblyScript, Go, JavaScript and Python: their unit tests and their modules
	@for dir in examples/1*-*/; do name=$$(basename "$$dir"); status=0; \
	  "$$dir/build.sh" "$(PELTON_PLUGINS)/examples/$$name.wasm" || status=$$?; \
	  if [ $$status = 77 ]; then echo "$$name is skipped: this machine lacks what it needs"; \
	  elif [ $$status != 0 ]; then exit $$status; fi; done

# --- tests ------------------------------------------------------------------------------------------------
.PHONY: test
test: build sdks examples lint python java node go conformance-clients fuzz-corpus ## Everything: unit, property, simulation, structure and end-to-end tests
	@# Bounded as a whole, so that a test that waits for what never comes fails instead of hanging.
	@timeout --kill-after=10 3000 $(CARGO) test $(BUILD_FLAGS) --workspace

.PHONY: conformance
conformance: build conformance-clients ## Every client's suite alone (SUITE=java_clients; AGAINST=kafka: the same against Apache Kafka)
	@# Suites mostly wait, so more of them run at a time than the machine has cores.
	@timeout --kill-after=10 2400 env $(if $(AGAINST),PELTON_CONFORMANCE_AGAINST=$(AGAINST)) \
	  $(CARGO) test $(BUILD_FLAGS) --workspace --test conformance -- --test-threads=4 $(SUITE)

.PHONY: fuzz-corpus
fuzz-corpus: bootstrap ## What the fuzzers have found worth keeping, through every target, without a fuzzer
	@$(CARGO) test --release --locked --quiet --manifest-path fuzz/Cargo.toml --target-dir "$(CARGO_TARGET_DIR)/fuzz"

TARGET ?= requests
SECONDS_EACH ?= 60
.PHONY: fuzz
fuzz: ## Fuzz a reader (TARGET=requests SECONDS_EACH=60; needs cargo install cargo-fuzz)
	@fuzz/run.sh "$(TARGET)" "$(SECONDS_EACH)"

.PHONY: lint
lint: bootstrap ## Formatting and clippy, without a warning
	@$(CARGO) fmt --all --check
	@$(CARGO) fmt --manifest-path fuzz/Cargo.toml --check
	@$(CARGO) clippy $(BUILD_FLAGS) --workspace --all-targets -- -D warnings

.PHONY: simulate
simulate: ## Simulated crashes: SEEDS=N seeds, or one with SEED=N
	@PELTON_SIM_SEEDS=$(or $(SEEDS),500) $(if $(SEED),PELTON_SIM_SEED=$(SEED)) \
	  $(CARGO) test $(BUILD_FLAGS) -p pelton-simulation -- --nocapture

.PHONY: python
python: bootstrap ## The Python clients that the end-to-end tests use
	@if ! cmp -s tests/e2e/requirements.txt "$(CARGO_TARGET_DIR)/venv/requirements.txt"; then \
	  echo "installing the Python clients into $(CARGO_TARGET_DIR)/venv"; \
	  rm -rf "$(CARGO_TARGET_DIR)/venv"; python3 -m venv "$(CARGO_TARGET_DIR)/venv"; \
	  "$(PELTON_PYTHON)" -m pip install --quiet -r tests/e2e/requirements.txt; \
	  cp tests/e2e/requirements.txt "$(CARGO_TARGET_DIR)/venv/requirements.txt"; fi

.PHONY: java
java: bootstrap ## The jars of the Java clients that the end-to-end tests use
	@if ! cmp -s tests/e2e/clients/java/pom.xml "$(PELTON_CLIENTS)/java/pom.xml"; then \
	  echo "fetching the Java clients into $(PELTON_CLIENTS)/java"; rm -rf "$(PELTON_CLIENTS)/java"; \
	  mvn -q -B -f tests/e2e/clients/java/pom.xml dependency:copy-dependencies -DoutputDirectory="$(PELTON_CLIENTS)/java"; \
	  cp tests/e2e/clients/java/pom.xml "$(PELTON_CLIENTS)/java/pom.xml"; fi

.PHONY: node
node: bootstrap ## The Node.js clients that the end-to-end tests use
	@mkdir -p "$(PELTON_CLIENTS)/node"; cp tests/e2e/clients/node/produce.js "$(PELTON_CLIENTS)/node/"
	@if ! cmp -s tests/e2e/clients/node/package-lock.json "$(PELTON_CLIENTS)/node/package-lock.json"; then \
	  echo "installing the Node.js clients into $(PELTON_CLIENTS)/node"; \
	  cp tests/e2e/clients/node/package.json tests/e2e/clients/node/package-lock.json "$(PELTON_CLIENTS)/node/"; \
	  (cd "$(PELTON_CLIENTS)/node" && npm ci --silent --no-audit --no-fund); fi

.PHONY: go
go: bootstrap ## The Go client that the end-to-end tests use, where this machine has Go 1.24 or newer
	@mkdir -p "$(PELTON_CLIENTS)"
	@if $(HAS_GO); then \
	  (cd tests/e2e/clients/go && go build -o "$(PELTON_CLIENTS)/go-produce" .); \
	else echo "no Go 1.24 here: the Go client is not tested"; fi

.PHONY: conformance-clients
conformance-clients: bootstrap python java node go ## The clients of the conformance suites, from their registries
	@tests/conformance/setup.sh

# --- benchmarks -------------------------------------------------------------------------------------------
ROUNDS ?= 5
MB ?=
BASELINE ?=
# Below which directory the brokers write, and what else the benchmark is told.
BENCH_DIR ?= /tmp
BENCH_ARGS ?=

.PHONY: bench-setup
bench-setup: bootstrap ## Apache Kafka and Kafka Streams from Maven Central, for the benchmarks
	@bench/kafka/setup.sh "$(CARGO_TARGET_DIR)/bench-kafka"

# Beside Apache Kafka: produce 1 KiB and 100 B, consume, latency, durability, recovery.
SIDE_BY_SIDE := bench-w1 bench-w2 bench-w3 bench-w4 bench-w5 bench-w10

.PHONY: $(SIDE_BY_SIDE)
bench-w1: ## What it costs to take records of 1 KiB, beside Apache Kafka (ROUNDS=N MB=N BENCH_DIR=DIR BENCH_ARGS=...)
bench-w2: ## The same with records of 100 B
bench-w3: ## What it costs to give records away, hot and cold (needs root for cold)
bench-w4: ## Latency end to end, open loop
bench-w5: ## The price of durability
bench-w10: ## Starts, recovery and memory (BENCH_ARGS="--log-gb 1,5,20 --cold")
$(SIDE_BY_SIDE): build bench-setup
	@"$(PROFILE_DIR)/pelton-bench" $(@:bench-%=%) --pelton "$(PELTON_BIN)" --kafka "$(CARGO_TARGET_DIR)/bench-kafka" \
	  --rounds $(ROUNDS) $(if $(MB),--mb $(MB)) --dir "$(BENCH_DIR)" --out bench/results/$(@:bench-%=%).json \
	  --results bench/RESULTS.md $(BENCH_ARGS)

# On a broker that has one core, with the load on another. BENCH_ARGS=--add adds rounds to those that were measured.
GROUP_BENCHES := bench-groups bench-group-consumers

.PHONY: $(GROUP_BENCHES)
bench-groups: ## 100 groups of 10 members join, rebalance and commit on one core (ROUNDS=N BENCH_DIR=DIR BENCH_ARGS=...)
bench-group-consumers: ## 5 groups of librdkafka's consumers beside as many of the bench's own members
$(GROUP_BENCHES): build bench-setup
	@"$(PROFILE_DIR)/pelton-bench" $(@:bench-%=%) --pelton "$(PELTON_BIN)" --kafka "$(CARGO_TARGET_DIR)/bench-kafka" \
	  --rounds $(ROUNDS) --dir "$(BENCH_DIR)" --out bench/results/$(@:bench-%=%).json --results bench/RESULTS.md $(BENCH_ARGS)

.PHONY: bench-chart
bench-chart: build ## bench/results.png, of what the last runs wrote
	@"$(PROFILE_DIR)/pelton-bench" chart --from bench/results --png bench/results.png

.PHONY: bench-w9
bench-w9: build bench-setup ## What a stateless interceptor costs, beside Kafka Streams (ROUNDS=N MB=N BASELINE=BINARY)
	@"$(PROFILE_DIR)/pelton-bench" w9 --pelton "$(PELTON_BIN)" --guests "$(PELTON_PLUGINS)" --rounds $(ROUNDS) --mb $(or $(MB),1000) \
	  --kafka "$(CARGO_TARGET_DIR)/bench-kafka" --results bench/RESULTS.md $(if $(BASELINE),--baseline "$(BASELINE)")

.PHONY: bench-neighbours
bench-neighbours: build ## What sixty hostile plugins cost their neighbours (ROUNDS=N)
	@"$(PROFILE_DIR)/pelton-bench" neighbours --pelton "$(PELTON_BIN)" --guests "$(PELTON_PLUGINS)" \
	  --hostile "$(PELTON_PLUGINS)/hostile-interceptor.wasm" --misdeeds bench/misdeeds.txt --rounds $(ROUNDS) \
	  --results bench/RESULTS.md

# --- what the machine must have ---------------------------------------------------------------------------
# Command or file that must exist : Debian package that brings it.
NEEDS := java:default-jdk-headless mvn:maven node:nodejs npm:npm g++:g++ cmake:cmake ccache:ccache python3:python3 kcat:kcat pkg-config:pkg-config \
         /usr/lib/x86_64-linux-gnu/libz.so:zlib1g-dev LIBCLANG:libclang-dev VENV:python3-venv

.PHONY: bootstrap
bootstrap: ## Install what is missing on this machine (g++, libclang, ccache, kcat, a Python venv, Go if Debian's is new enough)
	@missing=""; \
	for need in $(NEEDS); do what=$${need%%:*}; package=$${need##*:}; \
	  case "$$what" in \
	    LIBCLANG) compgen -G "/usr/lib/llvm-*/lib/libclang*.so*" >/dev/null || missing="$$missing $$package";; \
	    VENV) python3 -c 'import ensurepip, venv' 2>/dev/null || missing="$$missing $$package";; \
	    /*) [ -e "$$what" ] || missing="$$missing $$package";; \
	    *) command -v "$$what" >/dev/null || missing="$$missing $$package";; \
	  esac; done; \
	if [ -n "$$missing" ]; then \
	  if [ "$$(id -u)" = 0 ]; then echo "installing what is missing:$$missing"; \
	    apt-get update -qq; DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $$missing >/dev/null; \
	  else echo "missing:$$missing. Run this once, then try again:"; \
	    echo "  sudo apt-get install -y$$missing"; exit 1; fi; fi
	@# Go is wanted, not needed: where Debian's is older than 1.24, what is in Go is skipped, and says so.
	@if ! command -v go >/dev/null && [ "$$(id -u)" = 0 ] && \
	  printf '1.24~\n%s\n' "$$(apt-cache policy golang-go 2>/dev/null | sed -n 's/.*Candidate: \([0-9]*:\)\?\([0-9]\)/\2/p')" | sort -C -V; then \
	  echo "installing what is missing: golang-go"; DEBIAN_FRONTEND=noninteractive apt-get install -y -qq golang-go >/dev/null \
	    || echo "golang-go cannot be installed: what is in Go is skipped"; fi
	@command -v cargo >/dev/null || { echo "missing: a Rust toolchain (1.95 or newer), see https://rustup.rs"; exit 1; }
