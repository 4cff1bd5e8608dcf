#!/usr/bin/env bash
# scripts/check-instructions.sh - fails when an event costs more instructions than it did.
#
#   scripts/check-instructions.sh            counts, compares with consumers/benches/instructions.txt
#   scripts/check-instructions.sh --update   counts, and writes that file anew
#
# The pipeline benchmark (consumers/benches/pipeline.rs) runs under cachegrind, so that other work on the machine does not
# count; what making the records costs is taken off, and batches wait until all is read, so that they are the same in every
# run. Counts still differ by up to 3 % from run to run: more than 10 % above the file is a failure, and more than 10 % below it
# is said.
# It is built as tests are, since these are built anyway: a service that is built for release takes a fraction of it.
# The counts belong to the compiler of rust-toolchain.toml, on x86-64: another one needs --update.
# Needs valgrind; where it is missing and this is root, apt installs it.
# Exit status 0: no dearer; 1: dearer, or it failed; 64: wrong usage.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() { sed -n '2,/^set -/{/^#/s/^# \{0,1\}//p}' scripts/check-instructions.sh; }
update=
case ${1:-} in
  "") ;;
  --help) usage; exit 0 ;;
  --update) update=1 ;;
  *) usage >&2; exit 64 ;;
esac
COPIES=1 PERCENT=10 LINGER_MS=60000
file=consumers/benches/instructions.txt
if ! command -v valgrind >/dev/null && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends valgrind
fi
command -v valgrind >/dev/null || { echo "check-instructions: needs valgrind" >&2; exit 1; }

program=$(cargo test --locked --workspace --bench pipeline --no-run --message-format=json |
  sed -n 's/.*"kind":\["bench"\].*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)
[ -x "$program" ] || { echo "check-instructions: the benchmark was not built" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

count() { # SERVICE STATE FORM: sets refs and events
  valgrind --tool=cachegrind --cache-sim=no --cachegrind-out-file=/dev/null "$program" "$1" "$2" "$COPIES" "$3" "$LINGER_MS" \
    >"$work/out" 2>"$work/err" || { tail -n 5 "$work/err" >&2; exit 1; }
  refs=$(sed -n 's/.*I *refs: *\([0-9,]*\).*/\1/p' "$work/err" | tr -d ,)
  events=$(sed -n 's/^\([0-9]*\) events.*/\1/p' "$work/out")
}

declare -A making
failed='' counted=''
while read -r service state form was; do
  [[ $service != \#* && -n $service ]] || continue
  if [ -z "${making[$form]:-}" ]; then
    count none "$state" "$form"
    making[$form]=$refs
  fi
  count "$service" "$state" "$form"
  now=$(((refs - ${making[$form]}) / events))
  counted+="$service $state $form $now"$'\n'
  echo "$service, $state, $form: $now instructions an event, $was before"
  if ((now * 100 > was * (100 + PERCENT))); then
    failed=1
    echo "  dearer by more than $PERCENT %"
  elif ((now * 100 < was * (100 - PERCENT))); then
    echo "  cheaper by more than $PERCENT %: scripts/check-instructions.sh --update keeps it so"
  fi
done <"$file"
[ -n "$counted" ] || { echo "check-instructions: $file names nothing" >&2; exit 1; }
if [ -n "$update" ]; then
  { grep '^#' "$file"; printf '%s' "$counted"; } >"$work/new"
  cat "$work/new" >"$file"
  exit 0
fi
[ -z "$failed" ]
