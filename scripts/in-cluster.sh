#!/usr/bin/env bash
# scripts/in-cluster.sh - runs a command of `cdc` in the cluster, as a job with a service's settings and the image `cdc` of
# its tag; shows what it said.
#
#   scripts/in-cluster.sh [OPTION...] SERVICE COMMAND [ARGUMENT...]
#
#   scripts/in-cluster.sh inventory-service doctor inventory
#   scripts/in-cluster.sh inventory-service verify inventory --wait-seconds 600
#   scripts/in-cluster.sh inventory-service dlq list --service inventory --since 2d
#
#   SERVICE           inventory-service, analytics-service or search-indexer: whose settings (environment, volumes)
#   COMMAND ...       what `cdc` is given, as it stands
#   --context NAME    kubectl's (default: its current one)
#   --set KEY=VALUE   a setting over the service's own; as often as you like
#   --name NAME       of the job (default: cdc-COMMAND-SERVICE). One of this name that is there already is deleted first
#
# It has the service account `cdc`, which only reads: doctor, verify, dlq list, dlq show, config. What writes needs another
# role, on a machine that reaches Kafka: `repair` for dlq replay, dlq purge and verify --repair, `fix` for doctor --fix.
# SOURCE_DSN, and CONNECT_URL for doctor, come from the secret `cdc-source`, which only verify must have.
#
# Settings: TIMEOUT (3600, seconds until the command must have ended).
# Exit status: 0 the command ended with 0; 1 it did not, or could not begin, or has not ended; 64 wrong usage.
set -euo pipefail

NAMESPACE=cdc-consumers

die() {
  echo "in-cluster: FAILED: $*" >&2
  exit 1
}
help() { sed -n '2,/^set -/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; }
usage() {
  help >&2
  [ $# -eq 0 ] || echo "in-cluster: $*" >&2
  exit 64
}

context='' name='' settings=()
while [ $# -gt 0 ]; do
  case $1 in
    --context | --name)
      [ -n "${2:-}" ] || usage "$1 needs a value"
      printf -v "${1#--}" %s "$2"
      shift
      ;;
    --set)
      [[ ${2:-} =~ ^[A-Za-z_][A-Za-z0-9_]*= ]] || usage "--set needs KEY=VALUE"
      settings+=("$2")
      shift
      ;;
    --help)
      help
      exit 0
      ;;
    -*) usage "no option $1" ;;
    *) break ;; # what comes now is the command's
  esac
  shift
done
[ $# -ge 2 ] || usage
service=$1
shift
case $service in
  inventory-service | analytics-service | search-indexer) ;;
  *) usage "no service $service" ;;
esac
: "${name:=cdc-$1-$service}"

kube() { kubectl ${context:+--context "$context"} --namespace "$NAMESPACE" "$@"; }
of_live() { kube get "deployment/$service" --output "jsonpath=$1"; }
quoted() { # TEXT: for YAML, and so that Kubernetes puts no variable into it
  local text=${1//\\/\\\\}
  text=${text//\"/\\\"}
  text=${text//$'\n'/\\n}
  printf '"%s"' "${text//\$/\$\$}"
}
as_list() { # TEXT...
  local text
  for text; do printf '%s, ' "$(quoted "$text")"; done
}
as_yaml() { # SETTING...: as a list of environment variables
  local setting
  for setting; do printf '{name: "%s", value: %s}, ' "${setting%%=*}" "$(quoted "${setting#*=}")"; done
}
with() { # LIST ITEMS: a list in JSON, or nothing, with these after it
  local list=${1#[}
  list=${list%]}
  echo "[$list${list:+, }$2]"
}

# job COMMAND...: with the live service's settings, and with ours over them
job() {
  local image from own volumes mounts tmp='{name: cdc-tmp, mountPath: /tmp}' optional=', optional: true'
  image=$(of_live '{.spec.template.spec.containers[0].image}')
  from=$(of_live '{.spec.template.spec.containers[0].envFrom}')
  own=$(of_live '{.spec.template.spec.containers[0].env}')
  volumes=$(of_live '{.spec.template.spec.volumes}')
  mounts=$(of_live '{.spec.template.spec.containers[0].volumeMounts}')
  [[ $mounts != *'"mountPath":"/tmp"'* ]] || tmp=''
  [ "$1" != verify ] || optional=''
  kube create -f - >&2 <<E
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
      volumes: $(with "$volumes" '{name: cdc-tmp, emptyDir: {sizeLimit: 2Gi}}')
      containers:
        - name: cdc
          image: ${image/"/$service:"//cdc:}
          args: [$(as_list "$@")]
          envFrom: $(with "$from" "{secretRef: {name: cdc-source$optional}}")
          env: $(with "$own" "$(as_yaml "${settings[@]}"){name: TMPDIR, value: /tmp}")
          volumeMounts: $(with "$mounts" "$tmp")
          resources: {requests: {cpu: 100m, memory: 256Mi}, limits: {memory: 512Mi}}
          securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
E
}
finished() { # waits, shows what it said; false unless the command ended with 0
  local outcome='' begun=$SECONDS uid stuck
  uid=$(kube get "job/$name" --output 'jsonpath={.metadata.uid}')
  while [[ $outcome != *Complete* && $outcome != *Failed* ]]; do
    [ $((SECONDS - begun)) -lt "${TIMEOUT:-3600}" ] || die "$name has not ended: kubectl logs -n $NAMESPACE job/$name"
    outcome=$(kube get "job/$name" --output 'jsonpath={.status.conditions[?(@.status=="True")].type}')
    stuck=$(kube get pods --selector "batch.kubernetes.io/controller-uid=$uid" \
      --output 'jsonpath={range .items[*].status.containerStatuses[*]}{.state.waiting.reason}{" "}{.image}{end}')
    case $stuck in
      ErrImagePull* | ImagePullBackOff* | InvalidImageName*)
        die "$name cannot begin (${stuck%% *}): the node cannot have the image ${stuck#* }, which scripts/deploy-consumers.sh pushes"
        ;;
    esac
    sleep 1
  done
  kube logs "job/$name" || true
  [[ $outcome == *Complete* ]]
}

command -v kubectl >/dev/null || die "kubectl is not installed, or not on PATH"
of_live '{.metadata.name}' >/dev/null || die "there is no deployment/$service, whose settings it would have"
kube delete job "$name" --ignore-not-found >/dev/null
[ "$1" != verify ] || kube get secret/cdc-source >/dev/null ||
  die "verify needs the source: kubectl create secret generic cdc-source -n $NAMESPACE --from-literal=SOURCE_DSN=postgres://..."
job "$@"
finished || die "$name: cdc $1 did not end with 0; above is what it said"
