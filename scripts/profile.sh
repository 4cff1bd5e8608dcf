#!/usr/bin/env bash
# scripts/profile.sh - where the time goes between the source and durable rows: the benchmark of one service
# (consumers/benches/pipeline.rs), sampled.
#
#   scripts/profile.sh SERVICE [STATE [COPIES [FORM]]]    analytics, inventory or search; memory (default), sqlite or discard;
#                                                 copies of the recorded shop (60); plain (default) or schema events
#
# With perf: samples by CPU time, the list of functions, and a flame graph if inferno is there (`cargo install inferno`).
# Without perf: instructions counted by callgrind, which takes fifty times as long: 2 copies are the default then.
# Making the records (searching and replacing text in `pipeline::main`) is in it. What it wrote is named in the last lines,
# below target/profile. The first build of the benchmark takes as long as that of a release.
# Exit status 0: done; 1: failed; 64: wrong usage.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() { sed -n '2,/^set -/{/^#/s/^# \{0,1\}//p}' scripts/profile.sh; }
case ${1:-} in
  --help) usage; exit 0 ;;
  analytics | inventory | search) service=$1 ;;
  *) usage >&2; exit 64 ;;
esac
state=${2:-memory} copies=${3:-} form=${4:-plain}
case $state in memory | sqlite | discard) ;; *) usage >&2; exit 64 ;; esac
case $form in plain | schema) ;; *) usage >&2; exit 64 ;; esac
[[ ${copies:-1} =~ ^[1-9][0-9]*$ && $# -le 4 ]] || { usage >&2; exit 64; }

out=${CARGO_TARGET_DIR:-target}/profile
mkdir -p "$out"
name=$out/$service-$state-$form
echo "building" >&2
program=$(cargo bench --locked --workspace --bench pipeline --no-run --message-format=json |
  sed -n 's/.*"kind":\["bench"\].*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)
[ -x "$program" ] || { echo "profile: the benchmark was not built" >&2; exit 1; }

if command -v perf >/dev/null && perf record -q -o "$name.data" true 2>/dev/null; then
  perf record -q -F 997 --call-graph dwarf,16384 -o "$name.data" "$program" "$service" "$state" "${copies:-60}" "$form"
  perf report -i "$name.data" --stdio --no-children --no-inline -g none --percent-limit 0.3 --sort symbol 2>/dev/null |
    sed '/^#/d; /^$/d; s/[ -]*$//' >"$name.txt"
  head -n 40 "$name.txt"
  if command -v inferno-flamegraph >/dev/null && command -v inferno-collapse-perf >/dev/null; then
    perf script -i "$name.data" --no-inline 2>/dev/null | inferno-collapse-perf |
      inferno-flamegraph --title "$service, $state, $form events" >"$name.svg"
    echo "flame graph: $name.svg"
  else
    echo "no flame graph: install inferno (cargo install inferno)"
  fi
  echo "functions: $name.txt; samples: $name.data (perf report -i)"
elif command -v valgrind >/dev/null; then
  echo "no perf: counting instructions with callgrind" >&2
  valgrind --tool=callgrind --callgrind-out-file="$name.callgrind" "$program" "$service" "$state" "${copies:-2}" "$form"
  callgrind_annotate --threshold=90 "$name.callgrind" >"$name.txt"
  head -n 60 "$name.txt"
  echo "functions: $name.txt; counts: $name.callgrind (kcachegrind)"
else
  echo "profile: needs perf (apt-get install linux-perf) or valgrind" >&2
  exit 1
fi
