#!/usr/bin/env bash
# scripts/measure-large.sh - the services with a large shop: peak memory while a backlog of it is drained, and how long a
# start takes with the state of it, until the first new change has its effect.
#
#   scripts/measure-large.sh       2 million orders, 6 million lines: some fifteen minutes; run nothing else meanwhile
#
# The shop is made by a rule (bench/src/bin/make-stream/trade.rs): all rows are live, products are wanted by Zipf's law.
# Rows are compared with the right answers when the backlog is drained. Then a few more orders are put into the topics, the
# service is started again, and asked for its rows (SQLite), or what stands in for DynamoDB for its writes, until something
# has changed.
#
# Settings: ORDERS (2000000); PREBUILT: a folder with the binaries of the workspace (default: a build for release).
# Exit status 0: measured, and no row is wrong; 1: something failed, or rows are wrong.
set -euo pipefail
# shellcheck source=scripts/no-arguments.sh
. "$(dirname "${BASH_SOURCE[0]}")/no-arguments.sh"
cd "$(dirname "${BASH_SOURCE[0]}")/.."
: "${ORDERS:=2000000}"
PREFIX=large.public.
export STACK_NAME=large KAFKA_PORT=19792 KAFKA_CONTROLLER_PORT=19793 PG_PORT=15792 CONNECT_PORT=18792 LS_PORT=4992
brokers=127.0.0.1:$KAFKA_PORT dynamodb=http://127.0.0.1:$LS_PORT

if [ -n "${PREBUILT:-}" ]; then
  bin=$(readlink -f "$PREBUILT")
else
  cargo build --release --locked --workspace --bins
  bin=$PWD/${CARGO_TARGET_DIR:-target}/release
fi
work=$(mktemp -d -p "${TMPDIR:-/var/tmp}") # gigabytes
stand_in=
finish() {
  trap '' INT TERM
  [ -z "$stand_in" ] || kill "$stand_in" 2>/dev/null || true
  scripts/stack.sh wipe >/dev/null 2>&1 || true
  rm -rf "$work"
}
scripts/stack.sh install kafka >/dev/null
trap finish EXIT
trap 'exit 1' INT TERM
scripts/stack.sh wipe >/dev/null 2>&1
scripts/stack.sh up kafka >&2
make_stream() {
  "$bin/make-stream" --brokers "$brokers" --prefix "$PREFIX" --recording cdc/demo/shop.ndjson.gz "$@"
}
make_stream --orders "$ORDERS" --truth "$work/truth.json" >"$work/stream.json"

# Each of them in two rounds: `drain`, then, with 20 more orders in the topics, `again`.
service() { # ROUND NAME PLACE BINARY "VIEWS" FLAGS...: PLACE is where its rows are
  local round=$1 name=$2 place=$3 views=$5 log=$work/log
  local run=(env -i PATH="$PATH" HOME="$HOME" LANG=C.UTF-8 AWS_ACCESS_KEY_ID=large AWS_SECRET_ACCESS_KEY=large
    "$bin/$4" --kafka-bootstrap-servers "$brokers" --topic-prefix "$PREFIX" --kafka-group-id "large-$name"
    --dlq "dir:$work/dlq" --http-listen none --until-end "${@:6}")
  echo "measure-large: $name, $round" >&2
  if [ "$round" = drain ]; then
    python3 bench/measure.py "$name" "${run[@]}" >"$work/used-$name" 2>"$log" || { tail -n 5 "$log" >&2; exit 1; }
    if [ "$place" = "$work/items" ]; then
      mkdir -p "$place"
      curl -fsS "$dynamodb/items/inventory-realtime" >"$place/inventory-realtime.items"
    fi
    # shellcheck disable=SC2086  # several views
    python3 bench/compare.py "$work/truth.json" "$work/stream.json" "$place" $views >"$work/compared-$name"
    return 0
  fi
  python3 - "$place" "$dynamodb" "${run[@]}" >"$work/again-$name" 2>"$log" <<'PYTHON' || { tail -n 5 "$log" >&2; exit 1; }
import json, pathlib, sqlite3, subprocess, sys, time, urllib.request

place, dynamodb, command = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3:]


def seen():
    """What changes with every order."""
    if place.suffix != ".db":
        with urllib.request.urlopen(f"{dynamodb}/counts") as answer:
            return json.load(answer)["writes"]
    base = sqlite3.connect(f"file:{place}?mode=ro", uri=True)
    try:
        tables = {name for (name,) in base.execute("select name from sqlite_master")}
        table, column = ("order_status", "orders") if "order_status" in tables else ("inventory_realtime", "sold")
        return base.execute(f"select sum({column}) from {table}").fetchone()
    finally:
        base.close()


before, begun = seen(), time.monotonic()
service = subprocess.Popen(command, stdout=sys.stderr)
while seen() == before:
    if service.poll() is not None and seen() == before:
        sys.exit(f"it ended with {service.returncode} and without effect")
    time.sleep(0.02)
print(f"{time.monotonic() - begun:.2f}")
sys.exit(service.wait())
PYTHON
}
services() { # ROUND
  local sums="daily_sales order_status product_sales customer_metrics"
  service "$1" analytics-sqlite "$work/analytics.db" analytics-service "$sums" --sink "sqlite:$work/analytics.db"
  service "$1" inventory-sqlite "$work/inventory.db" inventory-service inventory_realtime \
    --sink "sqlite:$work/inventory.db"
  service "$1" inventory-dynamodb "$work/items" inventory-service inventory_realtime \
    --sink aws --aws-endpoint-url "$dynamodb" --state "slatedb:dir:$work/state"
}
"$bin/dynamodb-stand-in" --listen "127.0.0.1:$LS_PORT" --table inventory-realtime=product_id 2>"$work/stand-in" &
stand_in=$!
services drain
make_stream --orders 20 --after "$ORDERS" >"$work/more.json"
services again
python3 - "$work" <<'PYTHON'
import json, pathlib, sys

work = pathlib.Path(sys.argv[1])
print("| service | peak MiB (512 at most) | drained in s | s to the first effect (5 at most) | wrong rows |")
print("| --- | ---: | ---: | ---: | ---: |")
is_wrong = False
for path in sorted(work.glob("used-*")):
    name = path.name.removeprefix("used-")
    used, compared = json.loads(path.read_text()), json.loads((work / f"compared-{name}").read_text())
    again = float((work / f"again-{name}").read_text())
    is_wrong |= compared["wrong"] > 0
    print(
        f"| {name} | {used['peak_mib']:,} | {used['wall_s']:,.0f} | {again:.2f} | "
        f"{compared['wrong']:,} of {compared['rows']:,} |"
    )
tables = json.loads((work / "stream.json").read_text())["tables"]
print("\nlive rows: " + ", ".join(f"{table['records']:,} {name}" for name, table in tables.items()))
sys.exit(is_wrong)
PYTHON
