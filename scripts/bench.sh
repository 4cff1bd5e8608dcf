#!/usr/bin/env bash
# scripts/bench.sh - what the services cost beside a bare loop and beside what people would write instead, on one Kafka.
#
#   scripts/bench.sh                 2 million events: some five minutes once all is built and installed
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
finish() {
  trap '' INT TERM
  scripts/stack.sh wipe >/dev/null 2>&1 || true
  rm -rf "$work" "$home/running"
}
trap finish EXIT
trap 'exit 1' INT TERM
rm -rf "$work"
mkdir -p "$work/log"
scripts/stack.sh wipe >/dev/null 2>&1

# ---- tools -----------------------------------------------------------------------------------------------------------
say "building"
cargo build --release --locked --workspace --bins # as for any release, so that dependencies are not built twice
bin=${CARGO_TARGET_DIR:-target}/release
[ -d "${CDC_CACHE:-$HOME/.cache/cdc-platform}/stack/libs/kafka" ] || scripts/stack.sh install kafka
if [ -n "$peers" ]; then
  say "installing the peers"
  (cd bench/peers/go-mirror && go build -mod=readonly -o "$home/go-mirror" .)
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
make_stream() { # FORM EVENTS FLAGS...
  say "making a stream: $1"
  "$bin/make-stream" --brokers "$brokers" --prefix "$1.public." --recording cdc/demo/shop.ndjson.gz --events "$2" "${@:3}" \
    >"$work/stream-$1.json" 2>"$work/log/make-stream-$1" || { cat "$work/log/make-stream-$1" >&2; die "no stream"; }
}
make_stream plain "$events"
make_stream schema $(((events + 3) / 4)) --with-schema

# ---- contestants -----------------------------------------------------------------------------------------------------
clean() { env -i PATH="$PATH" HOME="$HOME" LANG=C.UTF-8 "$@"; } # settings of whoever runs this do not count
views_of() { # SERVICE PLACE
  case $1:$2 in
    analytics:*/reports) echo daily_sales order_status ;; # the other reports show the largest rows only
    analytics:*) echo daily_sales order_status product_sales customer_metrics ;;
    *) echo inventory_realtime ;;
  esac
}
compare() { # ID FORM SERVICE PLACE
  # shellcheck disable=SC2046  # several views
  python3 bench/compare.py cdc/demo/expected.json.gz "$work/stream-$2.json" "$4" $(views_of "$3" "$4") >"$work/compared-$1.json" ||
    die "$1: its rows cannot be read"
}

# contest ID FORM SERVICE ROWS COMMAND...: one run of it, as the round asks for. ROWS says where its rows are afterwards:
# `none`; `flag` or `last`, in the file of --answers or of the last argument, written in round 0, which is not measured;
# or `at:PLACE`, where they are after every run.
contest() {
  local id=$1 form=$2 service=$3 rows=$4 wanted
  shift 4
  if [ ${#only[@]} -gt 0 ] && [[ $id != bare-loop* ]]; then
    wanted=
    for word in "${only[@]}"; do [[ $id != *"$word"* ]] || wanted=1; done
    [ -n "$wanted" ] || return 0
  fi
  local log=$work/log/$id
  if [ "$round" = 0 ]; then
    case $rows in flag) set -- "$@" --answers "$work/answers" ;; last) set -- "$@" "$work/answers" ;; *) return 0 ;; esac
    clean "$@" >"$log" 2>&1 || { tail -n 5 "$log" >&2; die "$id failed"; }
    compare "$id" "$form" "$service" "$work/answers"
    rm -f "$work/answers"
    return 0
  fi
  rm -rf "$work/views.db"* "$work/reports"
  say "round $round of $runs: $id"
  clean python3 bench/measure.py "$id $form $service" "$@" >>"$work/runs" 2>"$log" ||
    { tail -n 5 "$log" >&2; die "$id failed"; }
  [[ $rows != at:* ]] || [ -e "$work/compared-$id.json" ] || compare "$id" "$form" "$service" "${rows#at:}"
}
ours() { # PREFIX: what all services are told
  echo --kafka-bootstrap-servers "$brokers" --topic-prefix "$1.public." --dlq "dir:$work/dlq" --until-end --http-listen none \
    --kafka-group-id "bench-$round-$RANDOM"
}
slow() { [ "$round" -gt 1 ] || contest "$@"; } # once is enough of what takes so long

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
    fi
  }
}

say "whose rows are right"
for ((round = 0; round <= runs; round++)); do everybody; done

python3 bench/table.py "$work" ${json:+--json "$json"}
