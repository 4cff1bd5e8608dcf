#!/usr/bin/env bash
# scripts/test.sh - everything that is checked, on one machine, without containers.
#
#   scripts/test.sh            format, lints, tests, simulation, conformance against the AWS emulators, the demo
#   scripts/test.sh --quick    the same without the emulators and the release build of the demo
#
# Installs what the tests need below ${CDC_CACHE:-~/.cache/cdc-platform}, starts it, stops it again.
# Needs Rust, a C compiler, make and perl; the emulators also need Java 17, Maven, Python 3.10 or later and curl.
# Exit status 0: all of it passed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

quick=
case ${1:-} in
  --quick) quick=1 ;;
  "") ;;
  *) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 64 ;;
esac

say() { printf '\n== %s (%s s)\n' "$*" "$SECONDS"; }

say "format"
cargo fmt --all --check
say "lints"
cargo clippy --workspace --all-targets --locked -- -D warnings
say "documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --quiet
if command -v shellcheck >/dev/null; then
  say "shell scripts"
  find scripts .ci -type f \( -name '*.sh' -o -name run \) -print0 | xargs -0 shellcheck
fi
if command -v cargo-deny >/dev/null; then
  say "licences and sources"
  cargo deny --locked check licenses bans sources
fi

if [ -z "$quick" ]; then
  say "emulators: LocalStack (DynamoDB, S3)"
  started=
  scripts/aws.sh install ls
  scripts/aws.sh status ls >/dev/null 2>&1 || started=1
  scripts/aws.sh up ls
  trap '[ -z "$started" ] || scripts/aws.sh down ls' EXIT
  eval "$(scripts/aws.sh env ls)"
  export TEST_DYNAMODB_ENDPOINT=$AWS_ENDPOINT_URL_DYNAMODB TEST_S3_ENDPOINT=$AWS_ENDPOINT_URL_S3
fi

say "tests: units, simulation, conformance"
cargo test --workspace --locked

if [ -z "$quick" ]; then
  say "demo"
  cargo run --release --locked --bin cdc -- demo
fi
say "all passed"
