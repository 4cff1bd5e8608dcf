#!/usr/bin/env bash
# scripts/check-k8s.sh - holds k8s/ against strict schemas and kube-score, then does with it, on a real API server, what
# operators do: apply, scale, roll out, fail and undo, drain a node, build a new generation. Pods are played (see ops.sh).
#
#   scripts/check-k8s.sh            all of it; a minute or two once everything is installed
#   scripts/check-k8s.sh --static   without the API server
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

static=
case ${1:-} in
  --static) static=1 ;;
  "") ;;
  *)
    sed -n '2,/^set -/{/^#/s/^# \{0,1\}//p}' "$0"
    [ "$1" != --help ] || exit 0
    exit 64
    ;;
esac

say() { echo "check-k8s: $*"; }
die() {
  echo "check-k8s: FAILED: $*" >&2
  exit 1
}
refused() { # WORDS COMMAND...: fails, and says so with these words
  local words=$1 said
  shift
  if said=$("$@" 2>&1); then die "accepted: $*: $said"; fi
  [[ $said == *"$words"* ]] || die "$*: refused, but not because of '$words': $said"
}
is() { # EXPECTED OBJECT JSONPATH
  local found
  found=$(kubectl get -n cdc-consumers "$2" -o "jsonpath=$3")
  [ "$found" = "$1" ] || die "$2 $3 is '$found', not '$1'"
}
has() { # VALUE OBJECT VARIABLE
  is "$1" "$2" "{.spec.template.spec.containers[0].env[?(@.name==\"$3\")].value}"
}
eventually() { # SECONDS COMMAND...: until it succeeds
  local until=$((SECONDS + $1))
  shift
  until "$@"; do
    [ "$SECONDS" -lt "$until" ] || die "not in time: $*"
    sleep 0.2
  done
}
ready() { # REPLICAS DEPLOYMENT
  kubectl rollout status "deployment/$2" -n cdc-consumers --timeout=60s >/dev/null
  is "$1" "deployment/$2" '{.status.readyReplicas}'
}

SERVICES="inventory-service analytics-service search-indexer"
work=$(mktemp -d)
started=
finish() {
  rm -rf "$work"
  [ -z "$started" ] || scripts/ops.sh down kube
}
trap finish EXIT

# ---------------------------------------------------------------- files
scripts/ops.sh install lint manifest
[ -n "$static" ] || scripts/ops.sh install kube
eval "$(scripts/ops.sh env)"
if ! command -v kubectl >/dev/null; then die "kubectl is missing: scripts/ops.sh install kube"; fi

hadolint Dockerfile
[ ! -e k8s/monitoring/rules.yaml ] || grep -q -- '- rules.yaml' k8s/monitoring/kustomization.yaml ||
  die "k8s/monitoring/kustomization.yaml leaves rules.yaml out"
for name in overlays/dev overlays/prod scaling; do
  kubectl kustomize "k8s/$name" >"$work/${name#*/}.yaml"
  kubeconform -summary "$work/${name#*/}.yaml"
done
# A check that finds nothing wrong must be able to.
sed 's/terminationGracePeriodSeconds/terminationGracePeriod/' "$work/prod.yaml" >"$work/wrong.yaml"
refused 'terminationGracePeriod' kubeconform "$work/wrong.yaml"

# What kube-score asks for, and we decided against: a limit on CPU (pod.yaml says why there is none), and pulling images
# each time (tags are never overwritten).
kube-score score "$work/dev.yaml" "$work/prod.yaml" --output-format ci --ignore-container-cpu-limit \
  --ignore-test container-image-pull-policy >"$work/score" || {
  grep CRITICAL "$work/score"
  die "kube-score"
}
say "manifests: valid, and as kube-score likes them"
[ -z "$static" ] || exit 0

# ---------------------------------------------------------------- a cluster
scripts/ops.sh status kube >/dev/null 2>&1 || started=1
scripts/ops.sh up kube
kubectl delete namespace cdc-consumers --ignore-not-found --wait --timeout=60s >/dev/null

say "apply"
kubectl apply -k k8s/overlays/prod >/dev/null
for service in $SERVICES; do ready 1 "$service"; done
kubectl apply -k k8s/scaling >/dev/null
kubectl delete -k k8s/scaling >/dev/null
kubectl diff -k k8s/overlays/prod || die "applied again, something changes"

say "scale, as documented"
kubectl scale deployment/inventory-service -n cdc-consumers --replicas=3
ready 3 inventory-service
[ "$(kubectl get pods -n cdc-consumers -l app.kubernetes.io/instance=inventory-service -o 'jsonpath={.items[*].spec.nodeName}' | xargs -n 1 | sort -u | wc -l)" = 2 ] ||
  die "three pods are not spread over two nodes"
kubectl apply -k k8s/overlays/prod >/dev/null
is 3 deployment/inventory-service '{.spec.replicas}'

say "a rollout, with settings of its own"
cp -r k8s "$work/k8s"
echo LOW_STOCK_THRESHOLD=5 >>"$work/k8s/overlays/prod/inventory-service.env"
config='{.spec.template.spec.containers[0].envFrom[1].configMapRef.name}'
before=$(kubectl get deployment/inventory-service -n cdc-consumers -o "jsonpath=$config")
kubectl apply -k "$work/k8s/overlays/prod" >/dev/null
ready 3 inventory-service
after=$(kubectl get deployment/inventory-service -n cdc-consumers -o "jsonpath=$config")
[ "$before" != "$after" ] || die "new settings, and no rollout"

say "a rollout that fails, and undo"
fails='{"spec":{"progressDeadlineSeconds":5,"template":{"metadata":{"annotations":{"ops/ready":"never"}}}}}'
kubectl patch deployment/inventory-service -n cdc-consumers -p "$fails" >/dev/null
refused 'exceeded its progress deadline' kubectl rollout status deployment/inventory-service -n cdc-consumers --timeout=60s
is 3 deployment/inventory-service '{.status.readyReplicas}'
kubectl rollout undo deployment/inventory-service -n cdc-consumers >/dev/null
ready 3 inventory-service
is "$after" deployment/inventory-service "$config"
# And the settings of the first revision with it.
kubectl rollout undo deployment/inventory-service -n cdc-consumers --to-revision=1 >/dev/null
ready 3 inventory-service
is "$before" deployment/inventory-service "$config"
kubectl apply -k k8s/overlays/prod >/dev/null
ready 3 inventory-service

say "a drained node: one pod at a time"
budget() { [ "$(kubectl get pdb/inventory-service -n cdc-consumers -o 'jsonpath={.status.disruptionsAllowed}')" = "$1" ]; }
eventually 30 budget 1
node=$(kubectl get pods -n cdc-consumers -l app.kubernetes.io/instance=inventory-service -o 'jsonpath={.items[*].spec.nodeName}' | xargs -n 1 | sort | uniq -d | head -n 1)
kubectl cordon node-0 node-1 >/dev/null
refused "violate the pod's disruption budget" kubectl drain "$node" --ignore-daemonsets --timeout=10s
is 2 deployment/inventory-service '{.status.readyReplicas}'
kubectl uncordon node-0 node-1 >/dev/null
ready 3 inventory-service
kubectl drain "$node" --ignore-daemonsets --timeout=60s >/dev/null 2>&1
kubectl uncordon "$node" >/dev/null
for service in $SERVICES; do ready "$([ "$service" = inventory-service ] && echo 3 || echo 1)" "$service"; done

say "Pod Security: no root, no privileges"
pod() { printf 'apiVersion: v1\nkind: Pod\nmetadata: {name: wrong, namespace: cdc-consumers}\nspec: {containers: [{name: a, image: a, securityContext: {%s}}], securityContext: {%s}}\n' "$1" "$2" >"$work/pod.yaml"; }
good='allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}' profile='seccompProfile: {type: RuntimeDefault}'
pod "$good" "runAsNonRoot: true, $profile"
kubectl create --dry-run=server -f "$work/pod.yaml" >/dev/null
pod "$good" "$profile"
refused 'runAsNonRoot' kubectl create -f "$work/pod.yaml"
pod "$good, runAsUser: 0" "runAsNonRoot: true, $profile"
refused 'runAsUser=0' kubectl create -f "$work/pod.yaml"
pod 'privileged: true' "runAsNonRoot: true, $profile"
refused 'privileged' kubectl create -f "$work/pod.yaml"

say "a new generation"
cp -r scripts "$work/"
sed -i '/LOW_STOCK_THRESHOLD/d' "$work/k8s/overlays/prod/inventory-service.env"
# With a password, as CONSUMER_DEPLOYMENT.md has it, and a certificate.
kubectl create secret generic kafka -n cdc-consumers --from-literal=KAFKA_PROPERTIES_SASL_PASSWORD=secret >/dev/null
cat >>"$work/k8s/overlays/prod/kustomization.yaml" <<'E'
patches:
  - target: { kind: Deployment, name: inventory-service }
    patch: |
      - { op: add, path: /spec/template/spec/volumes, value: [{ name: ca, secret: { secretName: kafka-ca, optional: true } }] }
      - { op: add, path: /spec/template/spec/containers/0/volumeMounts, value: [{ name: ca, mountPath: /ca, readOnly: true }] }
E
sed -i 's/^\( *\)envFrom:$/&\n\1  - secretRef: {name: kafka}/' "$work/k8s/consumers/inventory-service.yaml"
config=${config/'envFrom[1]'/'envFrom[2]'}
next() { "$work/scripts/new-generation.sh" "$@" inventory-service 3; } # as if 2 had been given up
"$work/scripts/deploy-consumers.sh" --registry here.example --tag v1 --skip-build >/dev/null
refused 'a new one is greater' "$work/scripts/new-generation.sh" start inventory-service 1
next start >/dev/null
ready 3 inventory-service-g3
ready 3 inventory-service
has 3 deployment/inventory-service-g3 GENERATION
has inventory-realtime-g3 deployment/inventory-service-g3 DYNAMODB_TABLE
has inventory-service-group-g3 deployment/inventory-service-g3 KAFKA_GROUP_ID
refused 'secret generic cdc-source' next verify
"$work/scripts/in-cluster.sh" inventory-service doctor inventory >/dev/null 2>&1
job=job/cdc-doctor-inventory-service
is '["doctor","inventory"]' "$job" '{.spec.template.spec.containers[0].args}'
is 'here.example/cdc/cdc:v1' "$job" '{.spec.template.spec.containers[0].image}'
is cdc "$job" '{.spec.template.spec.serviceAccountName}'
is '{"name":"cdc-source","optional":true}' "$job" '{.spec.template.spec.containers[0].envFrom[3].secretRef}'
kubectl create secret generic cdc-source -n cdc-consumers --from-literal=SOURCE_DSN=postgres://reader@db/shop >/dev/null
next verify >/dev/null 2>&1
for job in verify-inventory-service verify-inventory-service-g3; do
  is '["verify","inventory","--wait-seconds","600"]' "job/$job" '{.spec.template.spec.containers[0].args}'
  is here.example/cdc/cdc:v1 "job/$job" '{.spec.template.spec.containers[0].image}'
done
live=$(kubectl get deployment/inventory-service -n cdc-consumers -o 'jsonpath={.spec.template.spec.containers[0].envFrom}')
for job in verify-inventory-service verify-inventory-service-g3; do
  is "${live%]},{\"secretRef\":{\"name\":\"cdc-source\"}}]" "job/$job" '{.spec.template.spec.containers[0].envFrom}'
  is '/ca /tmp' "job/$job" '{.spec.template.spec.containers[0].volumeMounts[*].mountPath}'
  is kafka-ca "job/$job" '{.spec.template.spec.volumes[0].secret.secretName}'
  is metadata.name "job/$job" '{.spec.template.spec.containers[0].env[?(@.name=="KAFKA_PROPERTIES_CLIENT_ID")].valueFrom.fieldRef.fieldPath}'
done
[[ $live == *'"kafka"'*configMapRef*configMapRef* ]] || die "the secret is not the first: $live"
has inventory-realtime-g3 job/verify-inventory-service-g3 DYNAMODB_TABLE
has '' job/verify-inventory-service DYNAMODB_TABLE
refused 'does not say GENERATION=3' next hand-over
is 3 deployment/inventory-service-g3 '{.status.readyReplicas}'
printf '%s\n' GENERATION=3 DYNAMODB_TABLE=inventory-realtime-g3 >"$work/k8s/overlays/prod/inventory-service.env"
# With --service the deploy applies what all share, too.
kubectl delete prometheusrule/cdc-consumers -n cdc-consumers >/dev/null
next hand-over >/dev/null
kubectl get prometheusrule/cdc-consumers -n cdc-consumers >/dev/null
is 0 deployment/inventory-service-g3 '{.spec.replicas}'
ready 3 inventory-service
live=$(kubectl get deployment/inventory-service -n cdc-consumers -o "jsonpath=$config")
is inventory-realtime-g3 "configmap/$live" '{.data.DYNAMODB_TABLE}'
next clean-up | grep 'state/inventory-service/1/$' >/dev/null || die "clean-up does not know what was before"
refused NotFound kubectl get deployment/inventory-service-g3 -n cdc-consumers

kubectl delete namespace cdc-consumers --wait --timeout=60s >/dev/null
say "passed in $SECONDS s"
