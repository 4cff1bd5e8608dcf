#!/usr/bin/env bash
# scripts/new-generation.sh - builds a service's view anew beside the live one, proves it, and hands over.
#
#   scripts/new-generation.sh start     SERVICE N    deployment SERVICE-gN, as the live one, with generation N and with
#                                                    group and tables of its own (which must exist: cdc doctor --fix)
#   scripts/new-generation.sh verify    SERVICE N    `cdc verify` of both generations, as jobs; exit status 0: N is exact
#   scripts/new-generation.sh hand-over SERVICE N    stops SERVICE-gN; SERVICE goes on with generation N. Before it, write
#                                                    what `start` printed to k8s/overlays/OVERLAY/SERVICE.env
#   scripts/new-generation.sh clean-up  SERVICE N    takes SERVICE-gN away; says which old data may go, and deletes none.
#                                                    Before the hand-over: gives N up
#
#   --context NAME    kubectl's (default: its current one)
#   --overlay NAME    k8s/overlays/NAME (default: prod)
#
# Settings: DYNAMODB_TABLE, DYNAMODB_TOKENS_TABLE (default: the live ones' names with -gN), TIMEOUT (3600, seconds for
# verify).
# `verify` reads SOURCE_DSN from the secret `cdc-source`.
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
live_setting() { # KEY: as the ConfigMaps of the live one have it, of which the last one counts
  local config value='' found
  for config in $(of_live '{.spec.template.spec.containers[0].envFrom[*].configMapRef.name}'); do
    found=$(kube get "configmap/$config" --output "jsonpath={.data.$1}")
    value=${found:-$value}
  done
  [ -n "$value" ] || die "no ConfigMap in envFrom of deployment/$service says $1"
  echo "$value"
}
as_yaml() { # SETTING...: as a list of environment variables
  local setting
  for setting; do printf '{name: %s, value: "%s"}, ' "${setting%%=*}" "${setting#*=}"; done
}
with() { # LIST ITEMS: a list in JSON, or nothing, with these after it
  local list=${1#[}
  list=${list%]}
  echo "[$list${list:+, }$2]"
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

# job NAME SETTING...: `cdc verify` with the live service's settings, and with these over them
job() {
  local name=$1 image from own volumes mounts tmp='{name: verify-tmp, mountPath: /tmp}'
  shift
  image=$(of_live '{.spec.template.spec.containers[0].image}')
  from=$(of_live '{.spec.template.spec.containers[0].envFrom}')
  own=$(of_live '{.spec.template.spec.containers[0].env}')
  volumes=$(of_live '{.spec.template.spec.volumes}')
  mounts=$(of_live '{.spec.template.spec.containers[0].volumeMounts}')
  [[ $mounts != *'"mountPath":"/tmp"'* ]] || tmp=''
  kube delete job "$name" --ignore-not-found >/dev/null
  kube create -f - <<E
apiVersion: batch/v1
kind: Job
metadata:
  name: $name
  labels: &labels {app.kubernetes.io/name: cdc, app.kubernetes.io/instance: $name, app.kubernetes.io/part-of: cdc-platform}
spec:
  backoffLimit: 0
  ttlSecondsAfterFinished: 86400
  template:
    metadata: {labels: *labels}
    spec:
      restartPolicy: Never
      serviceAccountName: cdc
      automountServiceAccountToken: false
      enableServiceLinks: false
      securityContext: {runAsNonRoot: true, runAsUser: 65532, runAsGroup: 65532, fsGroup: 65532, seccompProfile: {type: RuntimeDefault}}
      volumes: $(with "$volumes" '{name: verify-tmp, emptyDir: {sizeLimit: 2Gi}}')
      containers:
        - name: cdc
          image: ${image/"/$service:"//cdc:}
          args: [verify, $short, --wait-seconds, "600"]
          envFrom: $(with "$from" '{secretRef: {name: cdc-source}}')
          env: $(with "$own" "$(as_yaml "$@"){name: TMPDIR, value: /tmp}")
          volumeMounts: $(with "$mounts" "$tmp")
          resources: {requests: {cpu: 100m, memory: 256Mi}, limits: {memory: 512Mi}}
          securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
E
}
finished() { # JOB: waits, shows what it said; false unless it is exact
  local outcome='' begun=$SECONDS uid stuck
  uid=$(kube get "job/$1" --output 'jsonpath={.metadata.uid}')
  while [[ $outcome != *Complete* && $outcome != *Failed* ]]; do
    [ $((SECONDS - begun)) -lt "${TIMEOUT:-3600}" ] || die "$1 has not ended: kubectl logs -n $NAMESPACE job/$1"
    outcome=$(kube get "job/$1" --output 'jsonpath={.status.conditions[?(@.status=="True")].type}')
    stuck=$(kube get pods --selector "batch.kubernetes.io/controller-uid=$uid" \
      --output 'jsonpath={range .items[*].status.containerStatuses[*]}{.state.waiting.reason}{" "}{.image}{end}')
    case $stuck in
      ErrImagePull* | ImagePullBackOff* | InvalidImageName*)
        die "$1 cannot begin (${stuck%% *}): the node cannot have the image ${stuck#* }, which scripts/deploy-consumers.sh pushes"
        ;;
    esac
    sleep 1
  done
  kube logs "job/$1" || true
  [[ $outcome == *Complete* ]]
}
verify() {
  is_there || die "there is no $beside: start"
  kube get secret/cdc-source >/dev/null ||
    die "verify needs the source: kubectl create secret generic cdc-source -n $NAMESPACE --from-literal=SOURCE_DSN=postgres://..."
  job "verify-$service"
  job "verify-$beside" "${settings[@]}" "KAFKA_GROUP_ID=$service-group-g$n"
  # The live one may be what is wrong.
  if finished "verify-$service"; then say "the live generation: exact"; else say "the live generation: NOT exact"; fi
  finished "verify-$beside" || die "generation $n is not exact, or could not tell"
  say "generation $n: exact"
}

hand_over() {
  local image place replicas setting live
  is_there || die "there is no $beside: start"
  for setting in "${settings[@]}"; do
    grep -qx -- "$setting" "$ROOT/$file" || die "$file does not say $setting"
  done
  image=$(kube get "deployment/$beside" --output 'jsonpath={.spec.template.spec.containers[0].image}')
  replicas=$(kube get "deployment/$beside" --output 'jsonpath={.spec.replicas}')
  place=${image%/cdc/*}
  live=$(live_setting GENERATION)
  # For clean-up. Not when the hand-over is done again.
  [ "$live" = "$n" ] || kube annotate "deployment/$beside" --overwrite "cdc/replaces=$live"
  kube scale "deployment/$beside" --replicas=0
  kube wait --for=delete pod --selector "app.kubernetes.io/instance=$beside" --timeout=90s
  if ! "$ROOT/scripts/deploy-consumers.sh" --service "$service" --overlay "$overlay" ${context:+--context "$context"} \
    --registry "$place" --tag "${image##*:}" --skip-build; then
    kube scale "deployment/$beside" "--replicas=$replicas"
    die "$service could not go on with generation $n: $beside does, as before"
  fi
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

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
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
