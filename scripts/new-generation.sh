#!/usr/bin/env bash
# scripts/new-generation.sh - builds a service's view anew beside the live one, proves it, and hands over.
#
#   scripts/new-generation.sh start     SERVICE N    deployment SERVICE-gN, as the live one, with generation N and with
#                                                    group and tables of its own (which must exist: cdc doctor --fix)
#   scripts/new-generation.sh verify    SERVICE N    `cdc verify` of both generations, as jobs; exit status 0: N is exact
#   scripts/new-generation.sh hand-over SERVICE N    stops SERVICE-gN; SERVICE goes on with generation N. Before it, write
#                                                    what `start` printed to k8s/overlays/OVERLAY/SERVICE.env. If it
#                                                    fails or is interrupted, SERVICE-gN runs again
#   scripts/new-generation.sh clean-up  SERVICE N    takes SERVICE-gN away; says which old data may go, and deletes none.
#                                                    Before the hand-over: gives N up
#
#   --context NAME    kubectl's (default: its current one)
#   --overlay NAME    k8s/overlays/NAME (default: prod)
#
# Settings: DYNAMODB_TABLE, DYNAMODB_TOKENS_TABLE (default: the live ones' names with -gN), TIMEOUT (3600, seconds for
# verify).
# `verify` runs scripts/in-cluster.sh; it reads SOURCE_DSN from the secret `cdc-source`.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
NAMESPACE=cdc-consumers

say() { echo "new-generation: $*"; }
die() {
  echo "new-generation: FAILED: $*" >&2
  exit 1
}
help() { sed -n '2,/^set -/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; }
usage() {
  help >&2
  [ $# -eq 0 ] || echo "new-generation: $*" >&2
  exit 64
}

words=() context='' overlay=prod
while [ $# -gt 0 ]; do
  case $1 in
    --context | --overlay)
      [ -n "${2:-}" ] || usage "$1 needs a value"
      printf -v "${1#--}" %s "$2"
      shift
      ;;
    --help)
      help
      exit 0
      ;;
    -*) usage ;;
    *) words+=("$1") ;;
  esac
  shift
done
[ ${#words[@]} -eq 3 ] || usage
command=${words[0]} service=${words[1]} n=${words[2]}
[[ $n =~ ^[1-9][0-9]*$ ]] || usage "a generation is a number"
case $service in
  inventory-service)
    short=inventory
    tables=(DYNAMODB_TABLE)
    ;;
  analytics-service) short=analytics tables=() ;; # its reports are in reports/gN by themselves
  search-indexer)
    short=search
    tables=(DYNAMODB_TABLE DYNAMODB_TOKENS_TABLE)
    ;;
  *) usage "no service $service" ;;
esac
beside=$service-g$n
file=k8s/overlays/$overlay/$service.env
[ -f "$ROOT/$file" ] || usage "no overlay $overlay"

kube() { kubectl ${context:+--context "$context"} --namespace "$NAMESPACE" "$@"; }
of_live() { kube get "deployment/$service" --output "jsonpath=$1"; }
is_there() { [ -n "$(kube get "deployment/$beside" --ignore-not-found --output name)" ]; }
has_failed() { [[ $(kube get "job/$1" --ignore-not-found --output 'jsonpath={.status.conditions[?(@.status=="True")].type}') == *Failed* ]]; }
live_setting() { # KEY: as the ConfigMaps of the live one have it, of which the last one counts
  local config value='' found
  for config in $(of_live '{.spec.template.spec.containers[0].envFrom[*].configMapRef.name}'); do
    found=$(kube get "configmap/$config" --output "jsonpath={.data.$1}")
    value=${found:-$value}
  done
  [ -n "$value" ] || die "no ConfigMap in envFrom of deployment/$service says $1"
  echo "$value"
}

start() {
  local live
  live=$(live_setting GENERATION)
  [ "$n" -gt "$live" ] || die "generation $live is live: a new one is greater"
  kube get "deployment/$service" --output yaml >"$work/live.yaml"
  {
    printf 'resources: [live.yaml]\npatches:\n  - target: {kind: Deployment}\n    patch: |\n'
    printf '      - {op: remove, path: %s}\n' /status /metadata/{uid,resourceVersion,generation,creationTimestamp,annotations}
    printf '      - {op: replace, path: %s, value: %s}\n' /metadata/name "$beside"
    # Its own pods, which the live one's selector does not find.
    printf '      - {op: replace, path: %s, value: %s}\n' \
      /metadata/labels/app.kubernetes.io~1instance "$beside" \
      /spec/selector/matchLabels/app.kubernetes.io~1instance "$beside" \
      /spec/template/metadata/labels/app.kubernetes.io~1instance "$beside"
    printf '      - {op: add, path: /spec/template/spec/containers/0/env/-, value: {name: %s, value: "%s"}}\n' \
      "KAFKA_GROUP_ID" "$service-group-g$n"
    local setting
    for setting in "${settings[@]}"; do
      printf '      - {op: add, path: /spec/template/spec/containers/0/env/-, value: {name: %s, value: "%s"}}\n' \
        "${setting%%=*}" "${setting#*=}"
    done
  } >"$work/kustomization.yaml"
  kubectl kustomize "$work" | kube apply -f -
  kube rollout status "deployment/$beside" --timeout=330s || die "$beside does not become ready: kubectl logs -n $NAMESPACE deployment/$beside"
  say "$beside builds generation $n. When it has caught up: verify. For the hand-over, $file will say:"
  printf '%s\n' "${settings[@]}"
}

verify() {
  is_there || die "there is no $beside: start"
  local run=("$ROOT/scripts/in-cluster.sh" ${context:+--context "$context"}) over=() setting
  for setting in "${settings[@]}" "KAFKA_GROUP_ID=$service-group-g$n"; do over+=(--set "$setting"); done
  # Both at once.
  "${run[@]}" --name "verify-$beside" "${over[@]}" "$service" verify "$short" --wait-seconds 600 >"$work/verify" 2>&1 &
  other=$!
  # The live one may be what is wrong.
  if "${run[@]}" --name "verify-$service" "$service" verify "$short" --wait-seconds 600; then
    say "the live generation: exact"
  elif has_failed "verify-$service"; then
    say "the live generation: NOT exact"
  else
    exit 1 # it has said why
  fi
  if wait "$other"; then
    other=''
    cat "$work/verify"
  else
    other=''
    cat "$work/verify" >&2
    die "generation $n is not exact, or could not tell"
  fi
  say "generation $n: exact"
}

give_back() { # WHY: after all, the new generation's own deployment goes on
  trap '' INT TERM HUP             # a second Ctrl-C does not stop it half-way
  [ "$replicas" != 0 ] || die "$1" # it did not run
  kube scale "deployment/$beside" "--replicas=$replicas" ||
    die "$1, and $beside could not be started again: kubectl scale -n $NAMESPACE deployment/$beside --replicas=$replicas"
  die "$1: $beside does, as before"
}
hand_over() {
  local image place replicas setting live interrupted=''
  is_there || die "there is no $beside: start"
  for setting in "${settings[@]}"; do
    grep -qx -- "$setting" "$ROOT/$file" || die "$file does not say $setting"
  done
  image=$(kube get "deployment/$beside" --output 'jsonpath={.spec.template.spec.containers[0].image}')
  replicas=$(kube get "deployment/$beside" --output 'jsonpath={.spec.replicas}')
  # None is what a hand-over leaves that was killed; it noted how many there were.
  [ "$replicas" != 0 ] || replicas=$(kube get "deployment/$beside" --output 'jsonpath={.metadata.annotations.cdc/replicas}')
  place=${image%/cdc/*}
  live=$(live_setting GENERATION)
  # For clean-up. Not when the hand-over is done again.
  [ "$live" = "$n" ] || kube annotate "deployment/$beside" --overwrite "cdc/replaces=$live"
  kube annotate "deployment/$beside" --overwrite "cdc/replicas=${replicas:=0}"
  # Looked at between the steps: a deploy that has begun ends first, or goes back by itself.
  trap 'interrupted=1' INT TERM
  trap 'interrupted=1; exec >/dev/null 2>&1' HUP # the terminal went away
  kube scale "deployment/$beside" --replicas=0 || give_back "$beside could not be stopped"
  kube wait --for=delete pod --selector "app.kubernetes.io/instance=$beside" --timeout=90s || [ -n "$interrupted" ] ||
    give_back "the pods of $beside have not ended, so $service did not go on with generation $n"
  [ -z "$interrupted" ] || give_back "interrupted, so $service did not go on with generation $n"
  "$ROOT/scripts/deploy-consumers.sh" --service "$service" --overlay "$overlay" ${context:+--context "$context"} \
    --registry "$place" --tag "${image##*:}" --skip-build || give_back "$service could not go on with generation $n"
  # So that a hand-over that is done again, and fails, does not start it beside the live one.
  kube annotate "deployment/$beside" cdc/replicas- || true
  say "$service is generation $n. Next: clean-up"
}

clean_up() {
  local live bucket old
  live=$(live_setting GENERATION)
  old=$(kube get "deployment/$beside" --ignore-not-found --output 'jsonpath={.metadata.annotations.cdc/replaces}')
  kube delete "deployment/$beside" "job/verify-$beside" "job/verify-$service" --ignore-not-found
  bucket=$(live_setting S3_BUCKET)
  if [ "$live" = "$n" ] && [ -z "$old" ]; then
    say "generation $n is live. Which one was before it is known only until the first clean-up after a hand-over; see"
    say "  aws s3 ls s3://$bucket/state/$service/"
    return 0
  elif [ "$live" = "$n" ]; then
    say "generation $n is live. When nobody needs generation $old any more, its data may go: its tables, and"
  else
    old=$n
    say "generation $live stays live. Of generation $n may go: ${own[*]:-its reports}, and"
  fi
  say "  aws s3 rm --recursive s3://$bucket/state/$service/$old/"
}

work=$(mktemp -d) other='' # a process that runs beside this one
trap 'rm -rf "$work"; [ -z "$other" ] || kill "$other" 2>/dev/null || true' EXIT
command -v kubectl >/dev/null || die "kubectl is not installed, or not on PATH"
of_live '{.metadata.name}' >/dev/null || die "there is no deployment/$service to begin with"
own=() # its tables
for key in "${tables[@]}"; do
  table=${!key:-}
  if [ -z "$table" ]; then
    table=$(live_setting "$key")
    [[ ! $table =~ ^(.*)-g[0-9]+$ ]] || table=${BASH_REMATCH[1]}
    table+=-g$n
  fi
  own+=("$key=$table")
done
settings=("GENERATION=$n" "${own[@]}")
case $command in
  start | verify) "$command" ;;
  hand-over | clean-up) "${command/-/_}" ;;
  *) usage "no command $command" ;;
esac
