#!/usr/bin/env bash
# seed.sh - makes a running stack (stack.sh up) ready for services: the shop's tables, the connector, the bucket, the
# DynamoDB tables with their indexes, and a first day of trade. Again does no harm: what is there stays, and the shop
# trades a little more.
#
#   scripts/seed.sh                    all of it
#   TRANSACTIONS=0 scripts/seed.sh     without trade
#
# Settings: those of stack.sh (STACK_NAME, ports ...); CDC: the binary (default: target/release/cdc, target/debug/cdc,
# else one is built); TRANSACTIONS (default 1000), SEED (default 1).
set -euo pipefail
# shellcheck source=scripts/no-arguments.sh
. "$(dirname "${BASH_SOURCE[0]}")/no-arguments.sh"

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(dirname "$HERE")
: "${TRANSACTIONS:=1000}" "${SEED:=1}"

say() { printf 'seed: %s\n' "$*" >&2; }
stack() { "$HERE/stack.sh" "$@"; }

find_cdc() {
  local file
  if [[ -n ${CDC:-} ]]; then
    command -v "$CDC" >/dev/null || { say "CDC=$CDC is no program"; exit 1; }
    return
  fi
  for file in "$ROOT/target/release/cdc" "$ROOT/target/debug/cdc"; do
    if [[ -x $file ]]; then CDC=$file; return; fi
  done
  say "building cdc"
  cargo build --release --locked --manifest-path "$ROOT/Cargo.toml" --bin cdc
  CDC=$ROOT/target/release/cdc
}

make_schema() {
  local table
  # In one transaction: all of it, or none.
  table=$(stack psql -Atc "select to_regclass('public.products')")
  if [[ -z $table ]]; then
    stack psql -q1 -v ON_ERROR_STOP=1 -f "$HERE/shop/schema.sql"
    say "tables made"
  fi
  # A shop that was made before services asked for these.
  stack psql -q -v ON_ERROR_STOP=1 <<'SQL'
set client_min_messages = warning;
create table if not exists cdc_marker (id text primary key, at timestamptz not null default now());
SQL
}

find_cdc
# STATUS 3: something does not run.
stack status >/dev/null || { say "not all of the stack runs: scripts/stack.sh up"; stack status >&2 || true; exit 1; }
eval "$(stack env)"
make_schema
stack create-connector
# Debezium makes a topic with its first change, and the doctor wants to see them.
if ((TRANSACTIONS > 0)); then
  "$CDC" shop --rate 0 --transactions "$TRANSACTIONS" --seed "$SEED"
  stack settle 120
fi
say "bucket, DynamoDB tables and indexes"
if ! "$CDC" doctor all --fix; then
  ((TRANSACTIONS == 0)) || exit 1
  say "topics come with the first trade: cdc shop"
fi
say "ready. Now: eval \"\$(scripts/stack.sh env)\", and the services: cdc run inventory"
