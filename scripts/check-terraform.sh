#!/usr/bin/env bash
# check-terraform.sh - terraform/ without an account: its format, its variables, and policies. (What it makes and allows is held against
# the code by `cargo test -p consumers --test terraform`.)
#
#   scripts/check-terraform.sh
#
# Format and variables: with `tofu` or `terraform`, where one is there; environments/*.tfvars must be taken, and what
# nobody means must not. Policies: checkov, installed by scripts/ops.sh (group audit)
# where none is there; what is passed over, and why: terraform/checkov.yaml.
set -euo pipefail
# shellcheck source=scripts/no-arguments.sh
. "$(dirname "${BASH_SOURCE[0]}")/no-arguments.sh"
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { echo "check-terraform: $*"; }
has() { command -v "$1" >/dev/null 2>&1; }

if ! has checkov; then
  scripts/ops.sh install audit
  eval "$(scripts/ops.sh env)"
fi

# Variables need no provider: they are planned alone, and what is refused is compared with what the rules say.
variables() {
  local tool=$1 dir file wrong
  dir=$(mktemp -d)
  # shellcheck disable=SC2064  # now
  trap "rm -rf '$dir'" EXIT
  cp terraform/variables.tf "$dir"
  "$tool" -chdir="$dir" init -input=false >/dev/null
  for file in terraform/environments/*.tfvars; do
    if ! "$tool" -chdir="$dir" plan -input=false -var-file="$PWD/$file" >"$dir/said" 2>&1 || grep -q undeclared "$dir/said"; then
      cat "$dir/said" >&2
      say "$file is not taken" >&2
      return 1
    fi
  done
  for wrong in 'generations=[]' 'generations=[1.5]' 'bucket=My.Bucket' 'namespace=A' 'retention_days={letters=7}' \
    'retention_days={replaced_state=0}' 'operators=["somebody"]' 'region=europe' 'repositories=Cdc' 'bucket_kms_key_arn=alias/x'; do
    if "$tool" -chdir="$dir" plan -input=false -var-file="$PWD/terraform/environments/dev.tfvars" -var "$wrong" >/dev/null 2>&1; then
      say "$wrong is taken" >&2
      return 1
    fi
  done
}

formatted="format and variables not looked at: no tofu, no terraform"
for tool in tofu terraform; do
  if has "$tool"; then
    "$tool" fmt -check -diff -recursive terraform
    variables "$tool"
    formatted="formatted, variables as they should be ($tool)"
    break
  fi
done

# Each check that is passed over has its reason right above it.
if ! awk '/^ *- CKV/ && before !~ /^ *#/ { print; bad = 1 } { before = $0 } END { exit bad }' terraform/checkov.yaml; then
  say "passed over without a reason, see above" >&2
  exit 1
fi
# Guidelines would be downloaded from its maker.
checkov --directory terraform --config-file terraform/checkov.yaml --skip-download --compact --quiet
say "$formatted; policies hold"
