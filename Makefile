# A thin entry: each target is a script or a command that can be typed as well. CONTRIBUTING.md says when to use which.
.DEFAULT_GOAL := help
.PHONY: help build check test all demo simulation golden emulators test-aws fire bench
# The package of `make test-aws`.
P ?= sinks
# Dependencies that are built by make must not see the variables of this one.
CARGO := env -u MAKEFLAGS -u MFLAGS cargo

help: ## This list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 14

build: ## The four binaries, below target/release
	$(CARGO) build --release --locked -p cdc -p consumers --bins

check: ## Format, lints, documentation, units, simulation, conformance: nothing to install
	env -u MAKEFLAGS -u MFLAGS scripts/test.sh --quick

test: ## All tests that need no server
	$(CARGO) test --workspace --locked

all: ## Everything that runs on every change, with the servers it needs
	env -u MAKEFLAGS -u MFLAGS scripts/test.sh

demo: ## A recorded shop through all three services, every row compared
	$(CARGO) run --release --locked -p cdc --no-default-features -- demo

simulation: ## SEEDS=N histories, or SEED=N one of them again
	$(if $(SEED),SEED=$(SEED)) $(if $(SEEDS),SEEDS=$(SEEDS)) $(CARGO) test --locked -p consumers --test simulation

golden: ## What recorded records are understood as, written anew
	UPDATE_GOLDEN=1 $(CARGO) test --locked -p debezium --test golden

emulators: ## DynamoDB and S3 on this machine (LocalStack), installed and started
	scripts/aws.sh install ls
	scripts/aws.sh up ls

test-aws: ## T=FILE, a test of package P (sinks) against the emulators
	eval "$$(scripts/aws.sh env ls)" && \
	  TEST_DYNAMODB_ENDPOINT=$$AWS_ENDPOINT_URL_DYNAMODB TEST_S3_ENDPOINT=$$AWS_ENDPOINT_URL_S3 \
	  $(CARGO) test --locked -p $(P) --test $(T)

fire: ## The real stack under attack; T=NAME for some scenarios only
	$(CARGO) build --workspace --locked --bins
	scripts/stack.sh install
	$(MAKE) emulators
	eval "$$(scripts/aws.sh env ls)" && \
	  export TEST_DYNAMODB_ENDPOINT=$$AWS_ENDPOINT_URL_DYNAMODB TEST_S3_ENDPOINT=$$AWS_ENDPOINT_URL_S3 && \
	  unset AWS_ENDPOINT_URL_DYNAMODB AWS_ENDPOINT_URL_S3 && \
	  TEST_FIRE=1 TEST_FIRE_VERIFY=1 $(CARGO) test --locked --workspace --test fire -- $(T)

bench: ## CPU time by event between the source and durable rows, without a broker
	$(CARGO) bench --locked -p consumers --bench pipeline -- analytics memory
	$(CARGO) bench --locked -p consumers --bench pipeline -- analytics sqlite
	$(CARGO) bench --locked -p consumers --bench pipeline -- inventory sqlite
