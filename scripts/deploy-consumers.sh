#!/usr/bin/env bash
# scripts/deploy-consumers.sh - builds and pushes the images, applies the manifests, waits until they run, and goes back
# to what ran before if they do not. Again does no harm: what is in the registry is not built, what runs stays.
#
#   --service NAME|all   inventory-service, analytics-service, search-indexer (default: all). The image of `cdc` comes with
#                        each: scripts/in-cluster.sh runs the one of the service's tag
#   --overlay NAME       k8s/overlays/NAME: dev or prod (default: prod)
#   --tag TAG            of the images (default: the commit's short hash; with uncommitted changes there is no default)
#   --context NAME       kubectl's (default: its current one)
#   --account ID, --region NAME   whose ECR (default: as the AWS command line is set up)
#   --registry PLACE     another registry than ECR, such as ghcr.io/us; docker must be logged in to it
#   --skip-build         the images are in the registry already
#   --timeout SECONDS    for each rollout (default: 330, a little more than the cluster's own limit)
#   --probe              at the end ask each pod's /health/ready, by way of the API server, if network policies let it
#   --dry-run            say what would be done; ask nobody, change nothing
#
# PREBUILT=DIR: the binaries are there already, nothing is compiled. PATIENCE (60): seconds at the end, until all are ready.
# Exit status: 0 done; 1 failed, the cluster is as it was; 2 failed and rolled back; 3 failed, and could not be rolled
# back; 64 wrong usage. The last line says which, and why.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
NAMESPACE=cdc-consumers
ALL=(inventory-service analytics-service search-indexer)

say() { echo "deploy: $*"; }
die() {
  echo "deploy: FAILED: $*" >&2
  exit 1
}
help() { sed -n '2,/^set -/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; }
usage() {
  help >&2
  echo "deploy: $*" >&2
  exit 64
}

# ---------------------------------------------------------------- what is asked for
service=all overlay=prod tag='' context='' account='' region='' registry='' timeout=330 build=1 probe='' dry=''
while [ $# -gt 0 ]; do
  case $1 in
    --service | --overlay | --tag | --context | --account | --region | --registry | --timeout)
      [ -n "${2:-}" ] || usage "$1 needs a value"
      printf -v "${1#--}" %s "$2"
      shift
      ;;
    --skip-build) build='' ;;
    --probe) probe=1 ;;
    --dry-run) dry=1 ;;
    --help)
      help
      exit 0
      ;;
    *) usage "no option $1" ;;
  esac
  shift
done
services=("${ALL[@]}")
if [ "$service" != all ]; then
  [[ " ${ALL[*]} " == *" $service "* ]] || usage "no service $service"
  services=("$service")
fi
images=("${services[@]}" cdc)
[ -f "$ROOT/k8s/overlays/$overlay/kustomization.yaml" ] || usage "no overlay $overlay"
[[ $timeout =~ ^[0-9]+$ ]] || usage "--timeout is a number of seconds"
if [ -z "$tag" ]; then
  tag=$(git -C "$ROOT" rev-parse --short=12 HEAD 2>/dev/null) || usage "no git commit to name the images after: give --tag"
  mapfile -t changed < <(git -C "$ROOT" status --porcelain)
  if [ ${#changed[@]} -gt 0 ]; then
    printf -v files '%s; ' "${changed[@]:0:5}"
    [ ${#changed[@]} -le 5 ] || files+="and $((${#changed[@]} - 5)) more; "
    usage "changes that are not committed; commit them, or give --tag: ${files%; }"
  fi
fi
[[ $tag =~ ^[A-Za-z0-9_][A-Za-z0-9_.-]*$ ]] || usage "$tag cannot be the tag of an image"
revision=$(git -C "$ROOT" rev-parse HEAD 2>/dev/null || echo unknown)

# ---------------------------------------------------------------- tools
run() { # COMMAND...: says it, as it could be pasted, and does it unless this is a dry run
  printf '+%s\n' "$(printf ' %q' "$@")"
  [ -n "$dry" ] || "$@"
}
kubectl=(kubectl ${context:+--context "$context"} --namespace "$NAMESPACE")
kube() { "${kubectl[@]}" "$@"; }
absent() { # ERROR COMMAND...: true if it fails with this error; ends if with another one; its output is not shown
  local error=$1 words
  shift
  if words=$("$@" 2>&1 >/dev/null); then return 1; fi
  [[ $words == *"$error"* ]] || die "$*: $words"
}

check_tools() {
  local tool tools=(kubectl)
  [ -z "$build" ] || tools+=(docker)
  [ -n "$registry" ] || tools+=(aws)
  for tool in "${tools[@]}"; do
    command -v "$tool" >/dev/null || die "$tool is not installed, or not on PATH"
  done
}
find_registry() { # ECR's, unless another one was given
  [ -z "$registry" ] || return 0
  : "${region:=${AWS_REGION:-${AWS_DEFAULT_REGION:-}}}"
  if [ -n "$dry" ]; then
    : "${region:=REGION}" "${account:=ACCOUNT}"
  else
    [ -n "$region" ] || region=$(aws configure get region 2>/dev/null) || die "no AWS region: give --region, or set AWS_REGION"
    local own
    own=$(aws sts get-caller-identity --query Account --output text 2>&1) || die "no valid AWS credentials: $own"
    : "${account:=$own}"
  fi
  registry=$account.dkr.ecr.$region.amazonaws.com
  ecr=1
}
check_docker() {
  [ -n "$build" ] || return 0
  local words
  words=$(docker info 2>&1 >/dev/null) || die "docker does not answer: $words"
}
check_cluster() {
  local words
  words=$(kube version --request-timeout=15s 2>&1 >/dev/null) ||
    die "the cluster of ${context:-the current context} does not answer: $words"
  if [[ $manifest == *'kind: ServiceMonitor'* ]]; then
    words=$(kube get crd servicemonitors.monitoring.coreos.com 2>&1 >/dev/null) ||
      die "the cluster has no Prometheus operator, which k8s/overlays/$overlay asks for: install it, or take ../../monitoring out ($words)"
  fi
}

# ---------------------------------------------------------------- images
image_of() { echo "$registry/cdc/$1:$tag"; }
is_pushed() { # only ECR is asked: its tags cannot be overwritten
  [ -n "$ecr" ] || return 1
  [ -z "$dry" ] || return 1
  ! absent ImageNotFoundException aws ecr describe-images --region "$region" --repository-name "cdc/$1" --image-ids "imageTag=$tag"
}
make_repository() {
  if [ -n "$dry" ] || absent RepositoryNotFoundException aws ecr describe-repositories --region "$region" \
    --repository-names "cdc/$1"; then
    run aws ecr create-repository --region "$region" --repository-name "cdc/$1" --image-tag-mutability IMMUTABLE \
      --image-scanning-configuration scanOnPush=true --query repository.repositoryUri --output text ||
      die "the repository cdc/$1 could not be made"
  fi
}
log_in() {
  local password
  echo "+ docker login $registry"
  [ -z "$dry" ] || return 0
  password=$(aws ecr get-login-password --region "$region") || die "ECR gives no password"
  printf %s "$password" | docker login --username AWS --password-stdin "$registry" >/dev/null ||
    die "docker could not log in to $registry"
}
build_and_push() {
  local image
  image=$(image_of "$1")
  if is_pushed "$1"; then
    say "$image is there already"
    return 0
  fi
  local options=(--target "$1" --tag "$image" --label "org.opencontainers.image.version=$tag"
    --label "org.opencontainers.image.revision=$revision")
  [ -z "${PREBUILT:-}" ] || options+=(--build-context "binaries=$PREBUILT")
  DOCKER_BUILDKIT=1 run docker build "${options[@]}" "$ROOT" || die "the image $image could not be built"
  run docker push "$image" || die "the image $image could not be pushed"
}
make_images() {
  local name
  if [ -z "$build" ]; then
    for name in "${images[@]}"; do
      [ -z "$ecr" ] || [ -n "$dry" ] || is_pushed "$name" || die "$(image_of "$name") is not in the registry: leave --skip-build out"
    done
    return 0
  fi
  if [ -n "$ecr" ]; then
    for name in "${images[@]}"; do make_repository "$name"; done
    log_in
  fi
  for name in "${images[@]}"; do build_and_push "$name"; done
}

# ---------------------------------------------------------------- manifests
write_manifests() { # into a copy, so that the checkout stays as it is
  local name
  cp -r "$ROOT/k8s" "$work/k8s"
  mkdir "$work/k8s/overlays/this"
  {
    printf 'apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [../%s]\nimages:\n' "$overlay"
    for name in "${services[@]}"; do
      printf '  - {name: cdc/%s, newName: %s/cdc/%s, newTag: "%s"}\n' "$name" "$registry" "$name" "$tag"
    done
  } >"$work/k8s/overlays/this/kustomization.yaml"
  manifest=''
  if [ -z "$dry" ]; then
    manifest=$(kubectl kustomize "$work/k8s/overlays/this" 2>&1) || die "the manifests are wrong: $manifest"
  fi
}
apply() {
  local selected=()
  # The shared objects, and those of this service: the others keep the image that they have.
  [ "$service" = all ] || selected=(--selector "app.kubernetes.io/name in (cdc-consumers,$service)")
  run "${kubectl[@]}" apply --kustomize "$work/k8s/overlays/this" "${selected[@]}"
}

# ---------------------------------------------------------------- rollouts
declare -A before=() applied=() # the revision that ran, and the manifest that it came from; none for what is new
remember() {
  local name found
  [ -z "$dry" ] || return 0
  for name in "${services[@]}"; do
    found=$(kube get "deployment/$name" --ignore-not-found --output 'jsonpath={.metadata.annotations.deployment\.kubernetes\.io/revision}{"\n"}{.metadata.annotations.kubectl\.kubernetes\.io/last-applied-configuration}') || die "deployment/$name cannot be read"
    before[$name]=${found%%$'\n'*}
    applied[$name]=${found#*$'\n'}
  done
  # A policy that cuts off what runs would outlast it.
  for name in $(kube get networkpolicies --output name); do
    { echo ---; kube apply view-last-applied "$name" --output json; } >>"$work/policies.yaml" || true
  done
}
go_back() { # NAME
  run "${kubectl[@]}" rollout undo "deployment/$1" "--to-revision=${before[$1]}" &&
    # Or the next `apply` would take this one's manifest for what runs, and leave fields that it does not know.
    kube annotate "deployment/$1" --overwrite "kubectl.kubernetes.io/last-applied-configuration=${applied[$1]}" &&
    run "${kubectl[@]}" rollout status "deployment/$1" "--timeout=${timeout}s"
}
roll_back() { # WHY: the last thing that is done
  local name why=$1 undone='' new='' bad=''
  trap '' INT TERM HUP # a second Ctrl-C does not stop it half-way
  say "$why; going back"
  if [ -s "$work/policies.yaml" ]; then kube apply --filename "$work/policies.yaml" || bad+=" network-policies"; fi
  for name in "${services[@]}"; do
    if [ -z "${before[$name]}" ]; then
      new+=" $name"
    elif go_back "$name"; then
      undone+=" $name"
    else
      bad+=" $name"
    fi
  done
  [ -z "$new" ] || why+="; new, and left for a look:$new"
  if [ -n "$bad" ]; then
    echo "deploy: FAILED: $why; NOT rolled back:$bad" >&2
    exit 3
  fi
  echo "deploy: FAILED: $why; rolled back:${undone:- nothing}" >&2
  exit 2
}
show_trouble() { # what an operator would look at first; best effort
  kube get pods --selector "app.kubernetes.io/instance=$1" --request-timeout=10s || true
  kube logs --selector "app.kubernetes.io/instance=$1" --tail=5 --prefix --request-timeout=10s || true
} >&2
wait_for() {
  run "${kubectl[@]}" rollout status "deployment/$1" "--timeout=${timeout}s" && return
  show_trouble "$1"
  roll_back "$1 did not become ready"
}
smoke_test() {
  local name wanted ready image pod patience
  [ -z "$dry" ] || return 0
  for name in "${services[@]}"; do
    # A pod that takes partitions over from others, or that was only just added, gets ready a little later.
    patience=$((SECONDS + ${PATIENCE:-60}))
    while
      read -r wanted image ready < <(kube get "deployment/$name" \
        --output 'jsonpath={.spec.replicas} {.spec.template.spec.containers[0].image} {.status.readyReplicas}') || true
      [ "$wanted" != 0 ] && { [ "$image" != "$(image_of "$name")" ] || [ "$ready" != "$wanted" ]; }
    do
      [ "$SECONDS" -lt "$patience" ] || roll_back "$name: ${ready:-none} of $wanted replicas are ready, with $image"
      sleep 1
    done
    if [ "$wanted" = 0 ]; then
      say "$name is scaled to 0: nothing runs"
      continue
    fi
    [ -n "$probe" ] || continue
    for pod in $(kube get pods --selector "app.kubernetes.io/instance=$name" --output 'jsonpath={.items[*].metadata.name}'); do
      kube get --raw "/api/v1/namespaces/$NAMESPACE/pods/$pod:9090/proxy/health/ready" || roll_back "$pod is not healthy"
      echo
    done
  done
}

# ---------------------------------------------------------------- all of it
ecr=''
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
[ -n "$dry" ] || check_tools
find_registry
write_manifests
if [ -z "$dry" ]; then
  check_docker
  check_cluster
fi
make_images
remember
trap 'roll_back "interrupted"' INT TERM
trap 'exec >/dev/null 2>&1; roll_back "the terminal went away"' HUP
apply || roll_back "the manifests could not be applied"
for name in "${services[@]}"; do wait_for "$name"; done
smoke_test
say "${dry:+dry run, nothing was }done: ${services[*]} with $registry/cdc/...:$tag"
