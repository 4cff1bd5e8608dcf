#!/usr/bin/env bash
# scripts/chaos.sh [--minutes M] [--seed N] [--rate TPS] [--debug] - the real stack under a random schedule of faults:
# PostgreSQL, Debezium, Kafka, three replicas of each service, DynamoDB and S3 (LocalStack) behind a proxy.
#
#   --minutes M   how long faults are begun (default 5); starting and the last check come on top
#   --seed N      chooses kinds, targets, durations and order (default: by the clock; it is printed)
#   --rate TPS    transactions a second (default 20)
#   --debug       the services as `cargo build` makes them; default: as `cargo build --release` does
#
# Prints the faults done, the duplicates absorbed, seconds of recovery by kind of fault, and `verify: exact`. Exit status
# 0: exact after all of it. Starts a stack and a LocalStack of its own name and stops them again; data goes, installed
# things stay. Needs what scripts/stack.sh and scripts/aws.sh need.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

help() { sed -n '2,/^set -/{/^#/s/^# \{0,1\}//p}' "$0"; }
usage() {
  help >&2
  exit 64
}
minutes=5 seed=$(($(date +%s) % 1000000)) rate=20 profile=--release
while [ $# -gt 0 ]; do
  case $1 in
    --debug) profile='' && shift ;;
    --minutes | --seed | --rate)
      [[ ${2:-} =~ ^[0-9]+$ ]] || usage
      printf -v "${1#--}" %s "$2"
      shift 2
      ;;
    --help)
      help
      exit 0
      ;;
    *) usage ;;
  esac
done

echo "seed $seed, $minutes minutes" >&2
# shellcheck disable=SC2086  # nothing, or one word
cargo build $profile --locked --workspace --bins
# shellcheck disable=SC2086
cargo test $profile --locked --workspace --test fire --no-run
started=
finish() { [ -z "$started" ] || scripts/aws.sh down ls; }
trap finish EXIT
scripts/stack.sh install
scripts/aws.sh install ls
scripts/aws.sh status ls >/dev/null 2>&1 || started=1
scripts/aws.sh up ls
eval "$(scripts/aws.sh env ls)"
export TEST_DYNAMODB_ENDPOINT=$AWS_ENDPOINT_URL_DYNAMODB TEST_S3_ENDPOINT=$AWS_ENDPOINT_URL_S3
unset AWS_ENDPOINT_URL_DYNAMODB AWS_ENDPOINT_URL_S3
export TEST_FIRE_VERIFY=1
export TEST_FIRE=1 TEST_FIRE_MINUTES=$minutes TEST_FIRE_SEED=$seed TEST_FIRE_RATE=$rate
# shellcheck disable=SC2086
cargo test $profile --locked -q --workspace --test fire
