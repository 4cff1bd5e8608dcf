#!/usr/bin/env bash
# scripts/check-deploy.sh - scripts/deploy-consumers.sh for real: images built, pushed to a registry, run; manifests applied
# to an API server; once it works, once a rollout fails and all goes back. Only AWS is stood in, and its registry is a
# local one. Pods are played (see ops.sh); the images are run here.
#
#   scripts/check-deploy.sh          a minute or two once everything is installed
#
# Settings: PREBUILT: the folder with the four binaries (default: target/release).
set -euo pipefail
# shellcheck source=scripts/no-arguments.sh
. "$(dirname "${BASH_SOURCE[0]}")/no-arguments.sh"
cd "$(dirname "${BASH_SOURCE[0]}")/.."
say() { echo "check-deploy: $*"; }
die() {
  echo "check-deploy: FAILED: $*" >&2
  exit 1
}

# The region is what the stand-in of `aws` says, even where the emulators' settings are around.
unset AWS_REGION AWS_DEFAULT_REGION
SERVICES="inventory-service analytics-service search-indexer"
PREBUILT=$(readlink -f "${PREBUILT:-target/release}")
export PREBUILT
for name in $SERVICES cdc; do
  [ -x "$PREBUILT/$name" ] || die "no $PREBUILT/$name: cargo build --release --bins, or set PREBUILT"
done

scripts/ops.sh install kube image
eval "$(scripts/ops.sh env)"
work=$(mktemp -d)
started=()
for group in kube image; do scripts/ops.sh status "$group" >/dev/null 2>&1 || started+=("$group"); done
finish() {
  docker images --format '{{.Repository}}:{{.Tag}}' | grep "^$local_registry/cdc/" | xargs -r docker rmi -f >/dev/null 2>&1 || true
  [ ${#started[@]} -eq 0 ] || scripts/ops.sh down "${started[@]}"
  rm -rf "$work"
}
local_registry=127.0.0.1:${P_REGISTRY:-5005}
trap finish EXIT
scripts/ops.sh up kube image
base=$(sed -n 's/^FROM \(.*\) AS base$/\1/p' Dockerfile)
docker image exists "$base" || scripts/ops.sh base cc "$base"
kubectl delete namespace cdc-consumers --ignore-not-found --wait --timeout=60s >/dev/null

# AWS: see stand-in.sh. Its registry: the local one, under its own name for everybody but docker.
export STATE=$work/state
mkdir -p "$STATE" "$work/bin" "$work/stand-in"
ln -s "$PWD/scripts/tests/stand-in.sh" "$work/stand-in/aws"
cat >"$work/bin/aws" <<E
#!/usr/bin/env bash
[[ "\$*" =~ ^ecr\ describe-images.*--repository-name\ (.*)\ --image-ids\ imageTag=(.*) ]] || exec "$work/stand-in/aws" "\$@"
curl -fsI -o "$work/head" -H 'Accept: application/vnd.docker.distribution.manifest.v2+json' \
  "http://$local_registry/v2/\${BASH_REMATCH[1]}/manifests/\${BASH_REMATCH[2]}" || { echo ImageNotFoundException >&2; exit 254; }
E
cat >"$work/bin/docker" <<E
#!/usr/bin/env bash
[ "\$1" != login ] || exec cat >"$STATE/password"
exec "$(command -v docker)" "\${@/123456789012.dkr.ecr.eu-central-1.amazonaws.com/$local_registry}"
E
chmod +x "$work/bin/aws" "$work/bin/docker"
PATH=$work/bin:$PATH

# A checkout of its own, to break.
project=$work/project
mkdir "$project"
cp -r scripts k8s Dockerfile .dockerignore Cargo.toml Cargo.lock .cargo "$project/"
git -C "$project" init -q
commit() {
  git -C "$project" add .
  git -C "$project" -c user.name=check -c user.email=check@localhost commit -qm "$1"
  tag=$(git -C "$project" rev-parse --short=12 HEAD)
}
deploy() { # STATUS WORDS OPTION...
  local status=0
  "$project/scripts/deploy-consumers.sh" "${@:3}" >"$work/out" 2>&1 || status=$?
  if [ "$status" != "$1" ] || [[ $(tail -n 1 "$work/out") != "$2"* ]]; then
    tail -n 30 "$work/out" >&2
    die "ended with $status, not with $1 and '$2'"
  fi
  tail -n 1 "$work/out"
}
place=123456789012.dkr.ecr.eu-central-1.amazonaws.com/cdc
runs() { # NAME TAG: all replicas are ready, and of this version
  local found
  found=$(kubectl get deployment "$1" -n cdc-consumers -o 'jsonpath={.spec.template.spec.containers[0].image} {.status.readyReplicas}/{.status.replicas}')
  [ "$found" = "$place/$1:$2 1/1" ] || die "$1: $found"
}

say "the first time"
commit first
first=$tag
deploy 0 "deploy: done: $SERVICES with $place/...:$first"
for name in $SERVICES; do runs "$name" "$first"; done
[ -z "$(git -C "$project" status --porcelain)" ] || die "the checkout is not clean"

say "the images, as the registry has them"
for name in $SERVICES cdc; do
  skopeo inspect --raw --config --tls-verify=false "docker://$local_registry/cdc/$name:$first" >"$work/config.json"
  python3 - "$work/config.json" "$name" "$first" "$(git -C "$project" rev-parse HEAD)" <<'PYTHON' || die "$name"
import json, sys
path, name, tag, revision = sys.argv[1:]
config = json.load(open(path))["config"]
program = f"/usr/local/bin/{name}"
assert config["User"] == "65532:65532", config
assert config["Entrypoint"] == [program] and not config.get("Cmd"), config
labels = {key.removeprefix("org.opencontainers.image."): value for key, value in config["Labels"].items()}
assert (labels["title"], labels["version"], labels["revision"]) == (name, tag, revision), labels
health = config.get("Healthcheck", {}).get("Test")
assert health == (None if name == "cdc" else ["CMD", program, "health"]), health
PYTHON
  docker rmi -f "$local_registry/cdc/$name:$first" >/dev/null
done
in_image() { # NAME ARGS...: as Kubernetes would run it
  local name=$1
  shift
  docker run --rm --read-only --tmpfs /tmp --cap-drop all --security-opt no-new-privileges --memory 512m "$local_registry/cdc/$name:$first" "$@"
}
for name in $SERVICES; do
  docker pull -q "$local_registry/cdc/$name:$first" >/dev/null
  status=0
  in_image "$name" >"$work/out" 2>&1 || status=$?
  # It says which settings are missing.
  if [ "$status" != 64 ] || ! grep -q DLQ "$work/out"; then
    cat "$work/out" >&2
    die "$name in its image: $status"
  fi
done
docker pull -q "$local_registry/cdc/cdc:$first" >/dev/null
in_image cdc --version
in_image cdc demo >"$work/out" 2>&1 || die "the demo in its image: $(tail -n 3 "$work/out")"
tail -n 1 "$work/out"
if docker run --rm --entrypoint /bin/sh "$local_registry/cdc/cdc:$first" -c true 2>/dev/null; then die "the image has a shell"; fi

say "again"
deploy 0 "deploy: done"
[ "$(grep -c 'there already' "$work/out")" = 4 ] || die "built again"
[ "$(grep -c '^deployment.apps/.* unchanged' "$work/out")" = 3 ] || die "applied again, something changes"

say "a version of which one service never becomes ready"
cat >>"$project/k8s/overlays/prod/kustomization.yaml" <<'E'
patches:
  - target: { kind: Deployment, name: analytics-service }
    patch: |
      - { op: add, path: /spec/template/metadata/annotations, value: { ops/ready: never } }
      - { op: replace, path: /spec/progressDeadlineSeconds, value: 5 }
  - target: { kind: NetworkPolicy, name: cdc-platform }
    patch: |
      - { op: replace, path: /spec/egress, value: [] }
E
policy() { kubectl get networkpolicy cdc-platform -n cdc-consumers -o 'jsonpath={.spec.egress}'; }
policy_before=$(policy)
commit second
[ "$first" != "$tag" ] || die "no second version"
deploy 2 "deploy: FAILED: analytics-service did not become ready; rolled back: $SERVICES"
for name in $SERVICES; do runs "$name" "$first"; done
kubectl get deployment analytics-service -n cdc-consumers -o yaml >"$work/out"
if grep ops/ready "$work/out"; then die "something is left of what failed"; fi
[ "$(policy)" = "$policy_before" ] || die "its network policy is left"

say "only one of them"
git -C "$project" revert --no-edit -n HEAD
commit third
deploy 0 "deploy: done: search-indexer" --service search-indexer
runs search-indexer "$tag"
skopeo inspect --raw --tls-verify=false "docker://$local_registry/cdc/cdc:$tag" >/dev/null || die "no image of cdc beside it"
runs inventory-service "$first"

say "without a cluster"
KUBECONFIG=/nonexistent deploy 1 "deploy: FAILED: the cluster of the current context does not answer"

kubectl delete namespace cdc-consumers --wait --timeout=60s >/dev/null
say "passed in $SECONDS s"
