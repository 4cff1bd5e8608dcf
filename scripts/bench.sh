#!/usr/bin/env bash
# scripts/bench.sh - what the services cost beside a bare loop and beside what people would write instead, on one Kafka.
#
#   scripts/bench.sh                 2 million events: some ten minutes once all is built and installed
#   scripts/bench.sh --quick         200,000 events, each measured once: to see whether it works, not to quote
#       --events N                   another count
#       --runs N                     measured runs of each (2; peers run once); the cheapest one counts
#       --only WORD                  contestants whose name has WORD in it, and the bare loops; may be repeated
#       --no-peers                   without Python and Go
#       --json FILE                  all that was measured, as one document
#
# It makes a stream of a shop's changes (bench/src/bin/make-stream.rs), schemaless and, a quarter as long, with schemas,
# in topics of four partitions, lz4, on a Kafka of its own (scripts/stack.sh, STACK_NAME=bench). All contestants read it
# from there, one after the other, in rounds. Of each: CPU seconds of its process (user and system, all threads), peak
# memory, events a second, and how many of its rows are wrong against PostgreSQL's own answers. What counts is the ratio
# to the bare loop on the same records in the same run: BENCHMARKS.md says what the rows mean and what they do not.
#
# Two more streams are for what writes to DynamoDB, which a program stands in for (bench/src/bin/dynamodb-stand-in.rs), in a
# process of its own: a short one of the same shop, and orders for 10,000 products that are wanted by Zipf's law. At the
# end some contestants are killed (kill -9) half-way, started again, and their rows compared once more.
#
# Settings: PREBUILT: a folder with the binaries of the workspace; nothing is built then, and figures of a build for tests
# say nothing.
# Needs what `scripts/stack.sh install kafka` needs, and for the peers Go and Python with venv. All of it is kept below
# ${CDC_CACHE:-~/.cache/cdc-platform}. Run nothing else meanwhile.
# Exit status 0: measured, and no row of the services is wrong; 1: something failed, or rows of the services are wrong;
# 64: wrong usage.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() { sed -n '2,/^set -/{/^#/s/^# \{0,1\}//p}' scripts/bench.sh; }
wrong_usage() { printf 'bench: %s\n' "$*" >&2; usage >&2; exit 64; }
say() { printf '%s\n' "$*" >&2; }
die() { say "bench: $*"; exit 1; }

events='' runs='' quick='' peers=1 json='' only=()
while [ $# -gt 0 ]; do
  case $1 in
    --help) usage; exit 0 ;;
    --quick) quick=1 ;;
    --no-peers) peers= ;;
    --events | --runs)
      [[ ${2:-} =~ ^[1-9][0-9]*$ ]] || wrong_usage "$1: give a whole number above 0"
      [ "$1" = --runs ] && runs=$2 || events=$2
      shift
      ;;
    --json | --only)
      [ -n "${2:-}" ] || wrong_usage "$1: give one more word"
      [ "$1" = --only ] && only+=("$2") || json=$2
      shift
      ;;
    *) wrong_usage "unknown: $1" ;;
  esac
  shift
done
: "${events:=${quick:+200000}}" "${events:=2000000}" "${runs:=${quick:+1}}" "${runs:=2}"
[ -z "$json" ] || : >>"$json" # now, not after ten minutes

home=${CDC_CACHE:-$HOME/.cache/cdc-platform}/bench
work=$home/work
export STACK_NAME=bench KAFKA_PORT=19592 KAFKA_CONTROLLER_PORT=19593 PG_PORT=15592 CONNECT_PORT=18592 LS_PORT=4692
brokers=127.0.0.1:$KAFKA_PORT

# ---- one run at a time; what a killed one has left is taken away -----------------------------------------------------
start_of() { local stat; stat=$(<"/proc/$1/stat") && cut -d' ' -f20 <<<"${stat##*) }"; }
mkdir -p "$home"
if read -r pid start 2>/dev/null <"$home/running" && [ "$(start_of "$pid" 2>/dev/null)" = "$start" ]; then
  die "another run is under way (pid $pid)"
fi
echo "$$ $(start_of $$)" >"$home/running"
stand_in=
finish() {
  trap '' INT TERM
  [ -z "$stand_in" ] || kill "$stand_in" 2>/dev/null || true
  scripts/stack.sh wipe >/dev/null 2>&1 || true
  rm -rf "$work" "$home/running"
}
trap finish EXIT
trap 'exit 1' INT TERM
rm -rf "$work"
mkdir -p "$work/log"
scripts/stack.sh wipe >/dev/null 2>&1

# ---- tools -----------------------------------------------------------------------------------------------------------
if [ -n "${PREBUILT:-}" ]; then
  bin=$(readlink -f "$PREBUILT")
  [ -x "$bin/dynamodb-stand-in" ] || die "no $bin/dynamodb-stand-in: PREBUILT must have all binaries of the workspace"
else
  say "building"
  cargo build --release --locked --workspace --bins # as for any release, so that dependencies are not built twice
  bin=${CARGO_TARGET_DIR:-target}/release
fi
[ -d "${CDC_CACHE:-$HOME/.cache/cdc-platform}/stack/libs/kafka" ] || scripts/stack.sh install kafka
if [ -n "$peers" ]; then
  say "installing the peers"
  for peer in mirror increments; do
    (cd bench/peers/go && go build -mod=readonly -o "$home/go-$peer" "./$peer")
  done
  python=$home/python-$(cksum <bench/peers/python/requirements.txt | cut -d' ' -f1)
  if ! [ -e "$python/complete" ]; then
    rm -rf "$python"
    python3 -m venv "$python"
    "$python/bin/pip" install --quiet --requirement bench/peers/python/requirements.txt
    : >"$python/complete"
  fi
fi

# ---- the stream ------------------------------------------------------------------------------------------------------
scripts/stack.sh up kafka
make_stream() { # FORM FLAGS...
  say "making a stream: $1"
  "$bin/make-stream" --brokers "$brokers" --prefix "$1.public." --recording cdc/demo/shop.ndjson.gz "${@:2}" \
    >"$work/stream-$1.json" 2>"$work/log/make-stream-$1" || { cat "$work/log/make-stream-$1" >&2; die "no stream"; }
}
make_stream plain --events "$events"
make_stream schema --events $(((events + 3) / 4)) --with-schema
make_stream small --events $(((events + 19) / 20))
make_stream zipf --orders $(((events + 11) / 12)) --products 10000 --zipf 1.0 --truth "$work/truth-zipf.json"

# ---- contestants -----------------------------------------------------------------------------------------------------
blank=(env -i PATH="$PATH" HOME="$HOME" LANG=C.UTF-8) # settings of whoever runs this do not count
clean() { "${blank[@]}" "$@"; }
views_of() { # SERVICE PLACE
  case $1:$2 in
    analytics:*/reports) echo daily_sales order_status ;; # the other reports show the largest rows only
    analytics:*) echo daily_sales order_status product_sales customer_metrics ;;
    search:*) echo product_search_index product_search_tokens ;;
    *) echo inventory_realtime ;;
  esac
}
compare() { # ID FORM SERVICE PLACE
  local expected=cdc/demo/expected.json.gz
  [ ! -e "$work/truth-$2.json" ] || expected=$work/truth-$2.json
  # shellcheck disable=SC2046  # several views
  python3 bench/compare.py "$expected" "$work/stream-$2.json" "$4" $(views_of "$3" "$4") >"$work/compared-$1.json" ||
    die "$1: its rows cannot be read"
}

# What stands in for DynamoDB, with the services' tables, empty.
dynamodb=http://127.0.0.1:$LS_PORT
stand_in_up() {
  "${blank[@]}" "$bin/dynamodb-stand-in" --listen "127.0.0.1:$LS_PORT" --table inventory-realtime=product_id \
    --table product-search-index=product_id --table product-search-tokens=token,product_id 2>"$work/log/stand-in" &
  stand_in=$!
  local tries=0
  until curl -fs "$dynamodb/counts" >/dev/null; do
    kill -0 "$stand_in" 2>/dev/null && [ $((tries += 1)) -lt 100 ] || { cat "$work/log/stand-in" >&2; die "no stand-in"; }
    sleep 0.1
  done
}
stand_in_down() { # ID: keeps what was asked of it and what it holds
  local table
  mkdir -p "$work/items"
  curl -fsS "$dynamodb/counts" >"$work/counts-$1.json"
  for table in inventory-realtime product-search-index product-search-tokens; do
    curl -fsS "$dynamodb/items/$table" >"$work/items/$table.items"
  done
  kill "$stand_in"
  wait "$stand_in" || true
  stand_in=
}

is_wanted() { # ID
  local word
  [ ${#only[@]} -gt 0 ] && [[ $1 != bare-* ]] || return 0
  for word in "${only[@]}"; do [[ $1 != *"$word"* ]] || return 0; done
  return 1
}
nothing_left() { rm -rf "$work/views.db"* "$work/reports" "$work/state" "$work/items"; }

# contest ID FORM SERVICE ROWS COMMAND...: one run of it, as the round asks for. ROWS says where its rows are afterwards:
# `none`; `flag` or `last`, in the file of --answers or of the last argument, written in round 0, which is not measured;
# `at:PLACE`, where they are after every run; `items`, in what stands in for DynamoDB; or `calls`: that is asked, and no
# rows are looked at.
contest() {
  local id=$1 form=$2 service=$3 rows=$4
  shift 4
  is_wanted "$id" || return 0
  local log=$work/log/$id
  if [ "$round" = 0 ]; then
    case $rows in flag) set -- "$@" --answers "$work/answers" ;; last) set -- "$@" "$work/answers" ;; *) return 0 ;; esac
    clean "$@" >"$log" 2>&1 || { tail -n 5 "$log" >&2; die "$id failed"; }
    compare "$id" "$form" "$service" "$work/answers"
    rm -f "$work/answers"
    return 0
  fi
  nothing_left
  say "round $round of $runs: $id"
  case $rows in items | calls) stand_in_up ;; esac
  clean python3 bench/measure.py "$id $form $service" "$@" >>"$work/runs" 2>"$log" ||
    { tail -n 5 "$log" >&2; die "$id failed"; }
  case $rows in items | calls) stand_in_down "$id" ;; esac
  [ "$rows" != items ] || rows=at:$work/items
  [[ $rows != at:* ]] || [ -e "$work/compared-$id.json" ] || compare "$id" "$form" "$service" "${rows#at:}"
}

# killed ID FORM SERVICE ROWS SECONDS COMMAND...: the command is killed that long after its start, sooner if it has ended by
# then, and started again; its rows are compared when it has ended by itself. SECONDS `never`: it is not killed. ROWS as
# above. `@try` in the command is another number each time.
killed() {
  local id=$1 form=$2 service=$3 rows=$4 after=$5 name=killed-$1
  shift 5
  is_wanted "$id" || return 0
  [ "$after" != never ] || name=$id
  say "killed after some seconds ($after): $id"
  local log=$work/log/killed-$id pid tries
  [ "$rows" != last ] || set -- "$@" "$work/answers"
  for tries in 1 2 3 4 5; do
    nothing_left
    [ "$rows" != items ] || stand_in_up
    "${blank[@]}" "${@//@try/$after-$tries}" >"$log" 2>&1 & # no function: this is the program's own number
    pid=$!
    [ "$after" = never ] || sleep "$after"
    if [ "$after" = never ]; then
      wait "$pid" || { tail -n 5 "$log" >&2; die "$id failed"; }
    elif kill -9 "$pid" 2>/dev/null; then
      wait "$pid" 2>/dev/null || true
      clean "${@//@try/$after-$tries}" >>"$log" 2>&1 || { tail -n 5 "$log" >&2; die "$id failed"; }
    else
      wait "$pid" || { tail -n 5 "$log" >&2; die "$id failed"; }
      [ "$rows" != items ] || stand_in_down "unmeasured-$id"
      after=$(awk -v after="$after" 'BEGIN { print after / 2 }')
      continue
    fi
    case $rows in items) stand_in_down "unmeasured-$id"; rows=at:$work/items ;; last) rows=at:$work/answers ;; esac
    compare "$name" "$form" "$service" "${rows#at:}"
    rm -f "$work/answers"
    return 0
  done
  die "$id has always ended before it could be killed: give it more events"
}
half_of() { # ID: of the seconds that it took, in tenths
  sed -n "s/.*\"name\": \"$1 .*\"wall_s\": \([0-9.]*\).*/\1/p" "$work/runs" | sort -n | awk 'NR == 1 { print $1 / 2 }'
}
ours() { # FORM: what all services are told
  echo --kafka-bootstrap-servers "$brokers" --topic-prefix "$1.public." --dlq "dir:$work/dlq" --until-end --http-listen none \
    --kafka-group-id "bench-$round-$RANDOM"
}
slow() { [ "$round" -gt 1 ] || contest "$@"; } # once is enough of what takes so long

# The service as it is deployed, with its state in a folder.
in_dynamodb() { # FORM
  ours "$1"
  echo --sink aws --state "slatedb:dir:$work/state" --aws-endpoint-url "$dynamodb"
}
credentials=(env AWS_ACCESS_KEY_ID=bench AWS_SECRET_ACCESS_KEY=bench)

everybody() {
  local form flags=() tables="orders order_items"
  # shellcheck disable=SC2046,SC2086  # several words each
  {
    for form in plain schema; do
      [ $form = plain ] || flags=(--with-schema)
      contest "discard-$form" $form analytics none "$bin/discard" --brokers "$brokers" --prefix "$form.public." $tables
      contest "bare-loop-$form" $form analytics flag \
        "$bin/bare-loop" analytics --brokers "$brokers" --prefix "$form.public." "${flags[@]}"
      contest "bare-loop-rows-$form" $form analytics flag \
        "$bin/bare-loop" analytics --brokers "$brokers" --prefix "$form.public." "${flags[@]}" --keep-rows
      contest "analytics-memory-$form" $form analytics flag \
        "$bin/in-memory" analytics $(ours $form) --sink "dir:$work/unused"
    done
    contest analytics-sqlite-plain plain analytics at:"$work/views.db" \
      "$bin/analytics-service" $(ours plain) --sink "sqlite:$work/views.db"
    contest analytics-files-plain plain analytics at:"$work/reports" \
      "$bin/analytics-service" $(ours plain) --sink "dir:$work/reports"
    contest bare-loop-inventory-plain plain inventory flag \
      "$bin/bare-loop" inventory --brokers "$brokers" --prefix plain.public.
    contest inventory-memory-plain plain inventory flag "$bin/in-memory" inventory $(ours plain) --sink "dir:$work/unused"
    contest inventory-sqlite-plain plain inventory at:"$work/views.db" \
      "$bin/inventory-service" $(ours plain) --sink "sqlite:$work/views.db"
    if [ -n "$peers" ]; then
      slow peer-python-plain plain analytics last "$python/bin/python" bench/peers/python/analytics.py "$brokers" plain.public.
      slow peer-go-mirror-plain plain analytics last "$home/go-mirror" "$brokers" plain.public.
      slow peer-go-increments-plain plain inventory none "$home/go-increments" "$brokers" plain.public.
    fi
    contest bare-loop-inventory-small small inventory none \
      "$bin/bare-loop" inventory --brokers "$brokers" --prefix small.public.
    slow inventory-dynamodb-small small inventory items \
      "${credentials[@]}" "$bin/inventory-service" $(in_dynamodb small)
    contest bare-loop-inventory-zipf zipf inventory none \
      "$bin/bare-loop" inventory --brokers "$brokers" --prefix zipf.public.
    slow inventory-dynamodb-zipf zipf inventory items \
      "${credentials[@]}" "$bin/inventory-service" $(in_dynamodb zipf)
    slow bare-update-small small update calls \
      "${credentials[@]}" "$bin/bare-update" --endpoint "$dynamodb" --table inventory-realtime --calls "$updates"
    slow search-dynamodb-small small search items \
      "${credentials[@]}" "$bin/search-indexer" $(in_dynamodb small)
  }
}
# What is left of them after kill -9 and a new start.
all_killed() {
  # shellcheck disable=SC2046  # several words each
  {
    killed analytics-sqlite-plain plain analytics at:"$work/views.db" "$(half_of analytics-sqlite-plain)" \
      "$bin/analytics-service" $(ours plain) --sink "sqlite:$work/views.db"
    killed inventory-sqlite-plain plain inventory at:"$work/views.db" "$(half_of inventory-sqlite-plain)" \
      "$bin/inventory-service" $(ours plain) --sink "sqlite:$work/views.db"
    [ -n "$peers" ] || return 0
    killed peer-python-plain plain analytics last "$(half_of peer-python-plain)" \
      env GROUP=peer-python-@try "$python/bin/python" bench/peers/python/analytics.py "$brokers" plain.public.
    # What it does not count at all hides what it counts twice, but for the stream in which all rows are new.
    killed peer-go-increments-plain small inventory items never \
      "$home/go-increments" "$brokers" small.public. "$dynamodb" peer-go-increments-@try
    killed peer-go-increments-plain zipf inventory items 5 \
      "$home/go-increments" "$brokers" zipf.public. "$dynamodb" peer-go-increments-@try
  }
}

updates=$(((events + 39) / 40))
say "whose rows are right"
for ((round = 0; round <= runs; round++)); do everybody; done
all_killed

python3 bench/table.py "$work" ${json:+--json "$json"}
