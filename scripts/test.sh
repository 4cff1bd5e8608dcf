#!/usr/bin/env bash
# scripts/test.sh - everything that is checked, on one machine, without containers.
#
#   scripts/test.sh            format, lints, tests, simulation, conformance against the AWS emulators, the real stack
#                              under fire, alerts, Terraform, a Kubernetes API server, the demo, what an event costs,
#                              the README's stack, images, their deploy and their operation
#   scripts/test.sh --quick    format, lints, units, simulation, conformance: no servers, nothing to install
#
# Installs what the tests need below ${CDC_CACHE:-~/.cache/cdc-platform}, starts it, stops it again.
# Needs Rust, a C compiler, make and perl; without --quick also a JDK (17), Maven, Go (1.26), npm, Python 3.10 or later,
# curl, and, as root installed by apt: PostgreSQL 15, valgrind, buildah and podman.
# Exit status 0: all of it passed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

quick=
case ${1:-} in
  --quick) quick=1 ;;
  "") ;;
  *) sed -n '2,13s/^# \{0,1\}//p' "$0"; [ "$1" != --help ] || exit 0; exit 64 ;;
esac

say() { printf '\n== %s (%s s)\n' "$*" "$SECONDS"; }
source_stack() {
  STACK_NAME=test PG_PORT=15452 KAFKA_PORT=19292 KAFKA_CONTROLLER_PORT=19293 CONNECT_PORT=18283 TOPIC_PREFIX=shop \
    scripts/stack.sh "$@"
}

# Set once there is something to be taken away at the end.
installing='' stack_begun='' emulators_begun=''
finish() {
  [ -z "$installing" ] || kill -- "-$installing" 2>/dev/null || true
  [ -z "$stack_begun" ] || source_stack wipe
  [ -z "$emulators_begun" ] || scripts/aws.sh down ls
}
trap finish EXIT

install_tools() {
  scripts/ops.sh install lint manifest audit kube prom otel image
  scripts/aws.sh install ls
  source_stack install
}
if [ -z "$quick" ]; then
  # Beside the lints, since most of it waits for the network. A process group of its own, so that all of it can be ended.
  tools_log=$(mktemp)
  set -m
  install_tools </dev/null >"$tools_log" 2>&1 &
  installing=$!
  set +m
fi

say "format"
cargo fmt --all --check
say "lints"
cargo clippy --workspace --all-targets --locked -- -D warnings
say "the build without AWS, PostgreSQL, TLS and OpenTelemetry: lints, what it says, the demo"
cargo clippy -p cdc --no-default-features --locked -- -D warnings
cargo test -p cdc --no-default-features --locked --test absent
say "documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --quiet
if command -v shellcheck >/dev/null; then
  say "shell scripts"
  find scripts .ci -type f \( -name '*.sh' -o -name run \) -print0 | xargs -0 shellcheck
fi
if [ -z "$quick" ]; then
  say "tools of the stages that follow"
  wait "$installing" || { cat "$tools_log"; exit 1; }
  installing=''
  tail -n 3 "$tools_log"
  rm "$tools_log"
  say "docker-compose.yml"
  scripts/check-compose.sh
  say "alerts, runbooks, dashboards"
  scripts/check-monitoring.sh
  say "Terraform"
  scripts/check-terraform.sh
  say "deploy script, with stand-ins of what it calls"
  (eval "$(scripts/ops.sh env)" && bats scripts/tests)
  say "Kubernetes: manifests, and what operators do with them"
  scripts/check-k8s.sh
fi
if command -v cargo-deny >/dev/null; then
  say "licences and sources"
  cargo deny --locked check licenses bans sources
fi

if [ -z "$quick" ]; then
  say "emulators: LocalStack (DynamoDB, S3)"
  scripts/aws.sh status ls >/dev/null 2>&1 || emulators_begun=1
  scripts/aws.sh up ls
  eval "$(scripts/aws.sh env ls)"
  export TEST_DYNAMODB_ENDPOINT=$AWS_ENDPOINT_URL_DYNAMODB TEST_S3_ENDPOINT=$AWS_ENDPOINT_URL_S3

  say "the source: PostgreSQL, Debezium, Kafka"
  stack_begun=1
  source_stack wipe # what a run that was killed has left
  source_stack up kafka postgres connect
  for part in schema maker trade stock; do
    source_stack psql -q -v ON_ERROR_STOP=1 -f "scripts/shop/$part.sql" >/dev/null
  done
  source_stack create-connector shop
  export TEST_POSTGRES_DSN=postgres://postgres:postgres@127.0.0.1:15452/shop TEST_KAFKA=127.0.0.1:19292
  export TEST_CONNECT_URL=http://127.0.0.1:18283
fi

say "tests: units, simulation, conformance"
cargo test --workspace --locked

if [ -z "$quick" ]; then
  say "under fire: a stack of its own, attacked"
  source_stack wipe
  TEST_FIRE=1 TEST_FIRE_VERIFY=1 TEST_FIRE_RATE=10 cargo test --locked --workspace --test fire
  # The binaries that the tests ran. A build for release would compile every dependency once more.
  export PREBUILT=$PWD/target/debug
  say "demo"
  "$PREBUILT/cdc" demo
  say "what an event costs, in instructions"
  scripts/check-instructions.sh
  say "the README's stack, as pasted"
  scripts/check-readme.sh
  say "images, and their deploy"
  scripts/check-deploy.sh
  say "operations: images on the real source, Prometheus, a second generation"
  scripts/check-operations.sh
fi
say "all passed"
