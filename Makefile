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
CARGO := cargo
BUILD_FLAGS := --release --locked

# --- demo -------------------------------------------------------------------------------------------------
INPUT ?=
LINES ?= 200000
KILLS ?= 3
KEEP ?= 0
SEED ?=

.PHONY: help
help: ## What can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

.PHONY: demo
demo: build ## Count page views exactly once while the broker is killed (INPUT=FILE LINES=N KILLS=N KEEP=1 SEED=N)
	@"$(PELTON_BIN)" demo --plugin "$(PELTON_PV_COUNT_WASM)" --lines $(LINES) --kills $(KILLS) \
	  $(if $(INPUT),--input "$(INPUT)") $(if $(SEED),--seed $(SEED)) $(if $(filter 1,$(KEEP)),--keep)

# --- build ------------------------------------------------------------------------------------------------
.PHONY: build
build: bootstrap plugins ## The `pelton` binary and the plugins
	@# The whole workspace: one set of features, so that tests and demo share every artefact.
	@$(CARGO) build $(BUILD_FLAGS) --workspace

.PHONY: plugins
plugins: bootstrap ## The Wasm plugins, from source
	@plugins/build.sh pv-count "$(PELTON_PV_COUNT_WASM)"
	@plugins/build.sh pelton-hostile "$(PELTON_HOSTILE_WASM)"

# --- tests ------------------------------------------------------------------------------------------------
.PHONY: test
test: build lint python ## Everything: unit, property, simulation, structure and end-to-end tests
	@# Bounded as a whole, so that a test that waits for what never comes fails instead of hanging.
	@timeout --kill-after=10 3000 $(CARGO) test $(BUILD_FLAGS) --workspace

.PHONY: lint
lint: bootstrap ## Formatting and clippy, without a warning
	@$(CARGO) fmt --all --check
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

# --- what the machine must have ---------------------------------------------------------------------------
# Command or file that must exist : Debian package that brings it.
NEEDS := g++:g++ cmake:cmake ccache:ccache python3:python3 kcat:kcat pkg-config:pkg-config \
         /usr/lib/x86_64-linux-gnu/libz.so:zlib1g-dev LIBCLANG:libclang-dev VENV:python3-venv

.PHONY: bootstrap
bootstrap: ## Install what is missing on this machine (g++, libclang, ccache, kcat, a Python venv)
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
	@command -v cargo >/dev/null || { echo "missing: a Rust toolchain (1.95 or newer), see https://rustup.rs"; exit 1; }
