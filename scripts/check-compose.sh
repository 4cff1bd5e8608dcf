#!/usr/bin/env bash
# check-compose.sh - holds docker-compose.yml against the Compose specification, and against scripts/stack.sh: the same
# services, versions and ports. Needs Go (a loader that is pinned in compose/go.mod), no Docker; where Docker Compose is
# there, asks it too.
set -euo pipefail
# shellcheck source=scripts/no-arguments.sh
. "$(dirname "${BASH_SOURCE[0]}")/no-arguments.sh"
cd "$(dirname "${BASH_SOURCE[0]}")"

FILE=$PWD/../docker-compose.yml

pom() { sed -n "s:.*<$1.version>\(.*\)</.*:\1:p" stack/maven/pom.xml; }
setting() { sed -n "s/.*\${$1:=\([^}]*\)}.*/\1/p" stack.sh | head -1; }
localstack() { sed -n 's/^ *V_LS=//p' aws.sh | head -1; }
# shellcheck disable=SC2016  # a pattern
port_of_localstack() { sed -n 's/.*P_LS=${P_LS:-\([0-9]*\)}.*/\1/p' aws.sh | head -1; }

service() { echo "$1 cdc/$1:compose 127.0.0.1:$2:9090 needs kafka needs localstack builds $1"; }
expected() { # as compose/main.go prints it
  service analytics-service 19102
  echo "connect quay.io/debezium/connect:$(pom debezium) 127.0.0.1:$(setting CONNECT_PORT):8083 needs kafka needs postgres tested"
  service inventory-service 19101
  echo "kafka apache/kafka:$(pom kafka) 127.0.0.1:$(setting KAFKA_PORT):$(setting KAFKA_PORT) tested"
  echo "localstack localstack/localstack:$(localstack) 127.0.0.1:$(port_of_localstack):4566 tested"
  echo "postgres postgres:$(setting PG_MAJOR) 127.0.0.1:$(setting PG_PORT):5432 tested"
  service search-indexer 19103
}

found=$(cd compose && go run . "$FILE")
if ! diff <(expected) - <<<"$found"; then
  echo "check-compose: docker-compose.yml (>) is not what scripts/stack.sh runs (<)" >&2
  exit 1
fi
for target in inventory-service analytics-service search-indexer; do
  grep -q "^FROM base AS $target\$" ../Dockerfile || { echo "check-compose: Dockerfile has no target $target" >&2; exit 1; }
done
grep -q 'wal_level=logical' "$FILE" || { echo "check-compose: PostgreSQL without wal_level=logical" >&2; exit 1; }
if docker compose version >/dev/null 2>&1; then docker compose -f "$FILE" config -q; fi
echo "docker-compose.yml: valid; services, versions and ports are those of scripts/stack.sh"
