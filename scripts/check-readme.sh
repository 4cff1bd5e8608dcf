#!/usr/bin/env bash
# scripts/check-readme.sh - README.md's "Run the whole thing on one machine", as it would be pasted: every command must
# succeed, `cdc verify all` among them, and the services must stop drained. On a stack of its own name and ports,
# so that a stack that runs already is left alone; the services' ports (9090 to 9093) must be free.
#
#   scripts/check-readme.sh          two or three minutes once everything is installed and built
#
# Settings: PREBUILT: a folder with binaries that are built already; default: what the first command builds.
set -euo pipefail
# shellcheck source=scripts/no-arguments.sh
. "$(dirname "${BASH_SOURCE[0]}")/no-arguments.sh"
cd "$(dirname "${BASH_SOURCE[0]}")/.."
commands=$(awk '/^## / { here = /whole thing/ } here && /^```$/ { exit } inside; here && /^```sh$/ { inside = 1 }' README.md)
# shellcheck disable=SC2016 # As README.md has it.
build='cargo build --release --bin cdc && export PATH="$PWD/target/release:$PATH"'
[[ $commands == "$build"* && $commands == *'cdc verify all'* && $commands == *wait* ]] || {
  echo "check-readme: FAILED: README.md has no such commands any more" >&2
  exit 1
}
if [ -n "${PREBUILT:-}" ]; then
  export PATH=$PREBUILT:$PATH CDC=$PREBUILT/cdc
  commands=${commands#"$build"}
fi
export STACK_NAME=readme PG_PORT=15502 KAFKA_PORT=19502 KAFKA_CONTROLLER_PORT=19503 CONNECT_PORT=18502 P_LS=4602 LS_PORT=4602
logs=(inventory.log analytics.log search.log view.log)
work=$(mktemp -d)
finish() {
  local code=$?
  [ "$code" = 0 ] || { tail -n 20 "$work/log" "${logs[@]}" | cut -c1-300; echo "check-readme: FAILED"; } >&2
  scripts/stack.sh wipe >/dev/null 2>&1 || true
  rm -rf "$work" "${logs[@]}" view.db*
}
trap finish EXIT
scripts/stack.sh wipe >/dev/null 2>&1 || true # what a run that was killed has left
rm -f view.db*
# With jobs, as in a terminal. `wait` does not tell how they ended: the last words in their logs do.
bash -c "set -emo pipefail
trap 'kill \$(jobs -p) 2>/dev/null || true' EXIT
$commands" >"$work/log" 2>&1
[ "$(cat "${logs[@]}" | grep -c 'stopped: everything begun is durable')" = 4 ]
grep 'exact' "$work/log"
echo "check-readme: passed in $SECONDS s"
