#!/usr/bin/env bash
# scripts/check-operations.sh - what is operated, on a real source: the three services in their images (read-only, as another
# user, with a memory limit) against PostgreSQL, Debezium, Kafka and LocalStack, scraped by Prometheus, under load, their
# traces sent to an OpenTelemetry Collector. What both have must agree with what was done; every query of every dashboard
# must find data. Then a second generation beside the first, `cdc verify` of both, the hand-over, and SIGTERM under load:
# exit code 0, and exact after it.
#
#   scripts/check-operations.sh             some minutes, once everything is installed
#
# Settings: PREBUILT: the folder with the four binaries (default: target/release); PICTURES: a folder for drawings of the
# dashboards with this run's data.
set -euo pipefail
# shellcheck source=scripts/no-arguments.sh
. "$(dirname "${BASH_SOURCE[0]}")/no-arguments.sh"
cd "$(dirname "${BASH_SOURCE[0]}")/.."
say() { echo "check-operations: $*"; }
die() {
  echo "check-operations: FAILED: $*" >&2
  exit 1
}
eventually() { # SECONDS WHAT COMMAND...: until it succeeds
  local until=$((SECONDS + $1)) what=$2
  shift 2
  until "$@"; do
    [ "$SECONDS" -lt "$until" ] || die "never: $what"
    sleep 1
  done
}

SERVICES="inventory-service analytics-service search-indexer"
PREBUILT=$(readlink -f "${PREBUILT:-target/release}")
export CDC=$PREBUILT/cdc
export STACK_NAME=operations PG_PORT=15482 KAFKA_PORT=19482 KAFKA_CONTROLLER_PORT=19483 CONNECT_PORT=18482 P_LS=4582 LS_PORT=4582
PROMETHEUS=http://127.0.0.1:${P_PROM:-9190}
work=$(mktemp -d)
no_containers() { docker ps -aq --filter name=cdc-operations | xargs -r docker rm -f >/dev/null 2>&1 || true; }
finish() {
  local code=$?
  [ "$code" = 0 ] || for name in $(docker ps -aq --filter name=cdc-operations); do docker logs "$name" 2>&1 | tail -n 5 | cut -c1-600; done
  no_containers
  kill "$(cat "$work/shop" 2>/dev/null)" 2>/dev/null || true
  scripts/ops.sh down prom otel >/dev/null
  scripts/stack.sh wipe >/dev/null
  rm -rf "$work"
}

scripts/ops.sh install prom otel image
scripts/stack.sh install
eval "$(scripts/ops.sh env)"
trap finish EXIT
# What a run that was killed has left.
no_containers
scripts/stack.sh wipe >/dev/null 2>&1

say "the source, and a first day of trade"
scripts/stack.sh up
eval "$(scripts/stack.sh env)"
TRANSACTIONS=200 scripts/seed.sh

say "images"
base=$(sed -n 's/^FROM \(.*\) AS base$/\1/p' Dockerfile)
docker image exists "$base" || scripts/ops.sh base cc "$base"
for name in $SERVICES; do
  docker build -q --build-context binaries="$PREBUILT" --target "$name" --tag "cdc-operations/$name" . >/dev/null
done

# ---------------------------------------------------------------- the services
port() { # SERVICE GENERATION
  case $1 in
    inventory-service) echo 1951"$2" ;;
    analytics-service) echo 1952"$2" ;;
    search-indexer) echo 1953"$2" ;;
  esac
}
settings() { # SERVICE GENERATION: what differs
  local suffix=''
  [ "$2" = 1 ] || suffix=-g$2
  echo "GENERATION=$2 KAFKA_GROUP_ID=$1-group$suffix HTTP_LISTEN=127.0.0.1:$(port "$1" "$2")"
  case $1 in
    inventory-service) echo "DYNAMODB_TABLE=inventory-realtime$suffix" ;;
    search-indexer) echo "DYNAMODB_TABLE=product-search-index$suffix DYNAMODB_TOKENS_TABLE=product-search-tokens$suffix" ;;
  esac
}
run() { # SERVICE GENERATION
  local options=() pair
  for pair in $(settings "$1" "$2"); do options+=(--env "$pair"); done
  docker run --detach --no-healthcheck --name "cdc-operations-$1-$2" --network host --read-only --user 12345:12345 --cap-drop all \
    --security-opt no-new-privileges --memory 256m \
    --env KAFKA_BOOTSTRAP_SERVERS --env TOPIC_PREFIX --env S3_BUCKET --env DLQ --env AWS_REGION --env AWS_ACCESS_KEY_ID \
    --env AWS_SECRET_ACCESS_KEY --env AWS_ENDPOINT_URL_S3 --env AWS_ENDPOINT_URL_DYNAMODB --env FLUSH_INTERVAL_SECONDS=2 \
    --env ACK_INTERVAL_SECONDS=1 --env LOG_FORMAT=json --env OTEL_EXPORTER_OTLP_ENDPOINT "${options[@]}" "cdc-operations/$1" >/dev/null
}
of_cdc() { # SERVICE GENERATION COMMAND...: cdc with the settings of that one
  local service=$1 generation=$2
  shift 2
  # shellcheck disable=SC2046  # words
  env $(settings "$service" "$generation") "$CDC" "$@"
}
is_ready() { docker exec "cdc-operations-$1-$2" "/usr/local/bin/$1" health ready >/dev/null 2>&1; }
verify() { # GENERATION
  local service
  for service in $SERVICES; do
    of_cdc "$service" "$1" verify "$service" --marker-table public.cdc_marker --wait-seconds 180 >"$work/verify" 2>&1 || {
      cat "$work/verify" >&2
      die "generation $1 of $service is not exact"
    }
  done
}
stop() { # SERVICE GENERATION: SIGTERM; it has the time that Kubernetes gives it
  local code
  docker stop --time 45 "cdc-operations-$1-$2" >/dev/null
  code=$(docker inspect --format '{{.State.ExitCode}}' "cdc-operations-$1-$2")
  [ "$code" = 0 ] || die "$1: exit code $code at SIGTERM"
  # Not -q: it would end before all was read, which counts as a failure of what writes.
  docker logs "cdc-operations-$1-$2" 2>&1 | grep -c 'everything begun is durable' >/dev/null || die "$1: not drained"
}

# ---------------------------------------------------------------- what Prometheus has
ask() { # QUERY: the value, rounded
  curl -fsS --get --data-urlencode "query=$1" "$PROMETHEUS/api/v1/query" |
    python3 -c 'import json,sys; r = json.load(sys.stdin)["data"]["result"]; print(round(float(r[0]["value"][1])) if r else "none")'
}
asked() { # VALUE QUERY
  [ "$(ask "$2")" = "$1" ]
}
prometheus_says() { # VALUE QUERY: within a minute and a half
  local until=$((SECONDS + 90))
  until asked "$1" "$2"; do
    [ "$SECONDS" -lt "$until" ] || die "$2 is $(ask "$2"), not $1"
    sleep 1
  done
}
shop() { # SECONDS: goes on by itself
  "$CDC" shop --rate 5 --seconds "$1" --seed 7 >"$work/shop.log" 2>&1 &
  echo $! >"$work/shop"
}

say "generation 1, scraped and traced"
scripts/ops.sh down otel
collector=$(scripts/ops.sh up otel | tee /dev/stderr | sed -n 's/.*writes //p')
traces=${collector%%;*}
export OTEL_EXPORTER_OTLP_ENDPOINT=${collector##*=}
for name in $SERVICES; do run "$name" 1; done
targets=''
for name in $SERVICES; do targets+=" 127.0.0.1:$(port "$name" 1) 127.0.0.1:$(port "$name" 2)"; done
OPS_TARGETS=$targets OPS_POSTGRES="$SOURCE_DSN?sslmode=disable" OPS_RULES=$PWD/monitoring/rules/cdc-consumers.rules.yml scripts/ops.sh up prom
for name in $SERVICES; do eventually 120 "$name is ready" is_ready "$name" 1; done

say "load, and a record that nobody can read"
shop 3600
trace=4bf92f3577b34da6a3ce929d0e0e4736
echo '{"topic":"shop.public.products","partition":0,"key":"{\"id\":1}","value":"{","headers":{"traceparent":"00-'$trace'-00f067aa0ba902b7-01"}}' |
  scripts/stack.sh produce
prometheus_says 2 'sum(cdc_dead_letters_total{reason="malformed"})'
prometheus_says 3 'count(cdc_build_info)'
prometheus_says 3 'sum(cdc_breaker_state{state="closed"})'
for service in inventory search; do
  [ "$("$CDC" dlq list --service $service --json 2>/dev/null | grep -c malformed)" -ge 1 ] || die "$service: no letter"
done

say "what the collector has: spans of all three, and in two the trace of that record"
eventually 60 "the traces" python3 scripts/monitoring/traces.py "$traces" "$trace" inventory-service search-indexer -- analytics-service

say "the slot, as PostgreSQL's exporter tells it: read, not read while the connector is stopped, read again"
prometheus_says 1 'sum(pg_replication_slots_active)'
scripts/stack.sh stop-connector
prometheus_says 0 'sum(pg_replication_slots_active)'
prometheus_says 1 'min(pg_replication_slots_pg_wal_lsn_diff) > bool 0'
scripts/stack.sh resume-connector
prometheus_says 1 'sum(pg_replication_slots_active)'

say "every dashboard's queries"
eventually 60 "two minutes of data" asked 1 'count(count_over_time(cdc_generation{service="inventory-service"}[1m]) > 30) > bool 0'
python3 scripts/monitoring/dashboards.py --prometheus "$PROMETHEUS" --minutes 2 ${PICTURES:+--svg "$PICTURES"}

say "generation 2 beside it"
for name in $SERVICES; do
  of_cdc "$name" 2 doctor "$name" --fix >"$work/doctor" 2>&1 || { cat "$work/doctor" >&2; die "doctor --fix for generation 2"; }
  run "$name" 2
done
for name in $SERVICES; do eventually 120 "generation 2 of $name is ready" is_ready "$name" 2; done
prometheus_says 3 'count(cdc_generation == 2)'
verify 1
verify 2

say "hand-over under load: generation 1 ends"
for name in $SERVICES; do stop "$name" 1; done
verify 2

say "SIGTERM under load, and a new start"
for name in $SERVICES; do
  stop "$name" 2
  docker start "cdc-operations-$name-2" >/dev/null
done
for name in $SERVICES; do eventually 120 "$name is back" is_ready "$name" 2; done
kill "$(cat "$work/shop")"
verify 2
prometheus_says 0 'sum(cdc_consumer_lag_records)'
say "memory: $(ask 'max(max_over_time(cdc_buffer_bytes[10m]))') bytes buffered at most; $(docker stats --no-stream --format '{{.Name}} {{.MemUsage}}' | grep operations | tr '\n' ';')"
say "as they should be"
