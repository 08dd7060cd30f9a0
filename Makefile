# Every everyday task. `make help` lists them.

SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# Cargo puts its output elsewhere when CARGO_TARGET_DIR says so.
TARGET ?= $(or $(CARGO_TARGET_DIR),target)
DATA_DIR ?= ./tidings-data
# How long `make fuzz` spends on each target.
FUZZ_SECONDS ?= 60
# What `make soak` does, and for how long.
SOAK_MINUTES ?= 60
SOAK_CONNECTIONS ?= 10000000
# Operations that both stores are given, to be compared.
SOAK_STEPS ?= 1000000
# How often the server, and PostgreSQL, are killed under load.
SOAK_CYCLES ?= 100
# How often each bad day of Redis, and a rolling restart, comes again.
SOAK_OUTAGES ?= 30
SOAK_PROFILE ?= --release
# Users of make cluster-demo, with three devices each, and notifications sent to them a second.
USERS ?= 20
PER_SECOND ?= 100
# Notifications among which make bench-store reads pages.
ROWS ?= 2000000

.PHONY: run test setup fmt lint bench bench-store bench-cluster bench-micro cluster-demo soak soak-outages fuzz vendor help

run: ## Build an optimized server and start it with the playground, data in ./tidings-data
	cargo build --release -p tidings-server --bin tidings
	exec $(TARGET)/release/tidings serve --dev --data-dir $(DATA_DIR)

test: ## Install what is missing, then run every linter and test
	scripts/setup
	scripts/test

setup: ## Install the Debian and npm packages that the tests need
	scripts/setup

fmt: ## Format the Rust and the JavaScript
	cargo fmt --all
	npm run --silent format

lint: ## Run the linters alone
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	npm run --silent lint

bench: ## Print latency, throughput and memory beside a floor and a peer (QUICK=1: only see that it works)
	bench/run $(if $(QUICK),--quick)

bench-store: ## Print what SQLite and PostgreSQL store a second, end to end and alone, and how long pages take (QUICK=1, ROWS=10000000)
	scripts/setup
	bench/run $(if $(QUICK),--quick) store --rows $(ROWS)

bench-cluster: ## Print what two nodes on one Redis do, beside two Socket.IO servers with the redis-adapter (QUICK=1)
	bench/run $(if $(QUICK),--quick) cluster

bench-micro: ## Time each hot piece of code alone; NAME=websocket picks some
	cargo bench --workspace --bench '*' -- $(NAME)

cluster-demo: ## Kill parts of three nodes, Redis with Sentinels, PostgreSQL and nginx under load, and print what each device was told (USERS=20, PER_SECOND=100)
	scripts/setup
	cargo build -p tidings-server --bin tidings
	USERS=$(USERS) PER_SECOND=$(PER_SECOND) node deploy/demo/run.mjs

soak: ## SOAK_CONNECTIONS (10 million) come and go in SOAK_MINUTES (60), then notifications for as long; memory is watched; then SOAK_STEPS (1 million) on both stores and SOAK_CYCLES (100) kills of server and database; then SOAK_OUTAGES (30) times each bad day of Redis
	scripts/setup
	bench/run soak --connections $(SOAK_CONNECTIONS) --minutes $(SOAK_MINUTES)
	SOAK_MINUTES=$(SOAK_MINUTES) TIDINGS_BIN=$(TARGET)/release/tidings node e2e/soak.mjs
	TIDINGS_STEPS=$(SOAK_STEPS) cargo test --release -p tidings-store-postgres --test twins -- --nocapture
	TIDINGS_CYCLES=$(SOAK_CYCLES) cargo test --release -p tidings-server --test it -- --nocapture \
	  crash::kill_9 spool_postgres::postgres_crashed
	$(MAKE) --no-print-directory soak-outages

soak-outages: ## SOAK_OUTAGES (30) times all outages of Redis, one after another, and a rolling restart, each with its ledger
	for time in $$(seq $(SOAK_OUTAGES)); do \
	  echo "outages: $$time of $(SOAK_OUTAGES)"; \
	  cargo test $(SOAK_PROFILE) -p tidings-server --test it -- --nocapture --test-threads 1 cluster_outages:: rolling_restart::; \
	done

fuzz: ## Fuzz each decoder for FUZZ_SECONDS (needs nightly Rust and cargo-fuzz)
	scripts/fuzz $(FUZZ_SECONDS)

vendor: ## Copy the Socket.IO client of package-lock.json into the playground
	scripts/vendor

help: ## Show this list
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 16
