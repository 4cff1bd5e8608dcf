# scripts/deploy-consumers.sh against stand-ins for aws, docker and kubectl: what it calls, in which order, and how it
# ends when a step fails. Run by: bats scripts/tests
bats_require_minimum_version 1.5.0

load common
setup() {
  stand_in aws docker kubectl
  unset AWS_REGION AWS_DEFAULT_REGION PREBUILT
  export PATIENCE=0
  checkout deploy-consumers.sh
  git -C "$project" init -q
  git -C "$project" add .
  git -C "$project" -c user.name=a -c user.email=a@b commit -qm first
  tag=$(git -C "$project" rev-parse --short=12 HEAD)
  place=123456789012.dkr.ecr.eu-central-1.amazonaws.com/cdc
}
deploy() { run as_in_a_terminal "$project/scripts/deploy-consumers.sh" "$@"; }
called() { # PATTERN: how often
  local n=0 call
  while read -r call; do
    # shellcheck disable=SC2053
    [[ $call != $1 ]] || n=$((n + 1))
  done <"$STATE/calls"
  echo "$n"
}
live() { for service in inventory-service analytics-service search-indexer; do echo "$1" >"$STATE/revision-$service"; done; }

steps() { # the calls, shortened to what they are about
  sed -E -e 's# --(namespace cdc-consumers|region [a-z0-9-]+)##g' -e 's#^(docker build) --target ([a-z-]*).*#\1 \2#' \
    -e 's#^(docker push) .*/([a-z-]*:).*#\1 \2TAG#' -e 's#^(docker login).*#\1#' -e 's#^(aws sts [a-z-]*).*#\1#' \
    -e 's#^(aws ecr [a-z-]*) --repository-names? cdc/([a-z-]*).*#\1 \2#' \
    -e 's#^(kubectl kustomize).*#\1#' -e 's#^(kubectl apply) --kustomize [^ ]*#\1#' \
    -e 's#^(kubectl get deployment/[a-z-]*) .*(revision|readyReplicas).*#\1 \2#' -e 's# --(request-)?timeout=.*##' "$STATE/calls"
}

@test "all of it, in order" {
  deploy
  ends 0 "done: inventory-service analytics-service search-indexer with $place/...:$tag"
  diff <(steps) - <<'E'
aws configure get region
aws sts get-caller-identity
kubectl kustomize
docker info
kubectl version
aws ecr describe-repositories inventory-service
aws ecr create-repository inventory-service
aws ecr describe-repositories analytics-service
aws ecr create-repository analytics-service
aws ecr describe-repositories search-indexer
aws ecr create-repository search-indexer
aws ecr describe-repositories cdc
aws ecr create-repository cdc
aws ecr get-login-password
docker login
aws ecr describe-images inventory-service
docker build inventory-service
docker push inventory-service:TAG
aws ecr describe-images analytics-service
docker build analytics-service
docker push analytics-service:TAG
aws ecr describe-images search-indexer
docker build search-indexer
docker push search-indexer:TAG
aws ecr describe-images cdc
docker build cdc
docker push cdc:TAG
kubectl get deployment/inventory-service revision
kubectl get deployment/analytics-service revision
kubectl get deployment/search-indexer revision
kubectl get networkpolicies --output name
kubectl apply view-last-applied networkpolicy.networking.k8s.io/found --output json
kubectl apply
kubectl rollout status deployment/inventory-service
kubectl rollout status deployment/analytics-service
kubectl rollout status deployment/search-indexer
kubectl get deployment/inventory-service readyReplicas
kubectl get deployment/analytics-service readyReplicas
kubectl get deployment/search-indexer readyReplicas
E
}

@test "images: the commit's hash, each of its own target; repositories: scanned, tags that stay" {
  deploy
  for name in inventory-service analytics-service search-indexer cdc; do
    [ "$(called "docker build --target $name --tag $place/$name:$tag --label org.opencontainers.image.version=$tag *")" = 1 ]
    [ "$(called "docker push $place/$name:$tag")" = 1 ]
    [ "$(called "aws ecr create-repository *cdc/$name --image-tag-mutability IMMUTABLE --image-scanning-configuration scanOnPush=true*")" = 1 ]
  done
  [ "$(cat "$STATE/password")" = a-password ]
  [ "$(called "*a-password*")" = 0 ]
}

@test "again: nothing is made, built or pushed twice" {
  deploy
  : >"$STATE/calls"
  deploy
  ends 0 "done"
  [ "$(called "aws ecr create-repository*")" = 0 ]
  [ "$(called "docker build*")" = 0 ]
  [ "$(called "docker push*")" = 0 ]
  [ "$(called "kubectl * apply --kustomize *")" = 1 ]
}

@test "the checkout stays clean" {
  deploy
  [ -z "$(git -C "$project" status --porcelain)" ]
  live 7
  FAIL='*rollout status*' deploy
  [ -z "$(git -C "$project" status --porcelain)" ]
}

@test "one service: its image and that of cdc, its objects and the shared ones" {
  deploy --service search-indexer --tag v2
  ends 0 "done: search-indexer with $place/...:v2"
  [ "$(called "docker build*")" = 2 ]
  [ "$(called "docker push $place/search-indexer:v2")" = 1 ]
  [ "$(called "docker push $place/cdc:v2")" = 1 ]
  [ "$(called "kubectl * apply --kustomize * --selector app.kubernetes.io/name in (cdc-consumers,search-indexer)")" = 1 ]
  [ "$(called "kubectl * rollout status *")" = 1 ]
  [ "$(grep -c newTag "$STATE/kustomization")" = 1 ]
}

@test "overlay, context, account and region are passed on" {
  deploy --overlay dev --context blue --account 999999999999 --region ap-south-1
  ends 0 "999999999999.dkr.ecr.ap-south-1.amazonaws.com/cdc/...:$tag"
  grep -q 'resources: \[../dev\]' "$STATE/kustomization"
  [ "$(called "kubectl --context blue --namespace cdc-consumers *")" = "$(grep -c '^kubectl --' "$STATE/calls")" ]
  [ "$(called "aws ecr *--region ap-south-1*")" = "$(grep -c '^aws ecr' "$STATE/calls")" ]
}

@test "another registry: AWS is not asked" {
  deploy --registry ghcr.io/us
  ends 0 "ghcr.io/us/cdc/...:$tag"
  [ "$(called "aws *")" = 0 ]
  [ "$(called "docker login*")" = 0 ]
  [ "$(called "docker push ghcr.io/us/cdc/cdc:$tag")" = 1 ]
}

@test "binaries that are there are not built" {
  PREBUILT=/some/where deploy
  ends 0 "done"
  [ "$(called "docker build * --build-context binaries=/some/where *")" = 4 ]
}

@test "--skip-build needs images, and no docker" {
  deploy --skip-build
  ends 1 "$place/inventory-service:$tag is not in the registry"
  deploy
  : >"$STATE/calls"
  deploy --skip-build
  ends 0 "done"
  [ "$(called "docker *")" = 0 ]
}

@test "--probe asks each pod" {
  deploy --service search-indexer --probe
  ends 0 "done"
  [ "$(called "kubectl * get --raw /api/v1/namespaces/cdc-consumers/pods/pod-[12]:9090/proxy/health/ready")" = 2 ]
}

@test "--dry-run asks nobody and says each change" {
  deploy --dry-run
  ends 0 "dry run, nothing was done"
  [ ! -s "$STATE/calls" ]
  for words in create-repository "docker login" "docker build --target cdc" "docker push" "apply --kustomize" "rollout status"; do
    [[ $output == *"$words"* ]]
  done
}

@test "uncommitted changes need a tag" {
  echo >>"$project/Dockerfile"
  deploy
  ends 64 "changes that are not committed; commit them, or give --tag:  M Dockerfile"
  [ ! -s "$STATE/calls" ]
  touch "$project"/note-{1..6}
  deploy
  ends 64 "?? note-4; and 2 more"
  deploy --tag trial
  ends 0 "$place/...:trial"
}

@test "wrong usage is 64, and nothing is done" {
  for wrong in "--servce all" "--service shop" "--overlay test" "--tag" "--tag a/b" "--timeout soon"; do
    # shellcheck disable=SC2086
    deploy $wrong
    [ "$status" = 64 ]
  done
  [ ! -s "$STATE/calls" ]
  deploy --help
  [ "$status" = 0 ]
}

@test "a missing tool is named" {
  mkdir "$BATS_TEST_TMPDIR/few"
  for tool in bash env git sed mktemp rm cp mkdir dirname cat; do ln -s "$(command -v $tool)" "$BATS_TEST_TMPDIR/few/"; done
  for tool in kubectl docker aws; do
    PATH=$BATS_TEST_TMPDIR/few deploy
    ends 1 "$tool is not installed"
    ln -s "$here/stand-in.sh" "$BATS_TEST_TMPDIR/few/$tool"
  done
}

@test "before the cluster is changed: status 1, the reason, and nothing after it" {
  while IFS='|' read -r pattern words; do
    rm -f "$STATE"/*
    : >"$STATE/calls"
    FAIL=$pattern deploy
    ends 1 "${words/TAG/$tag}"
    [ "$(called "$pattern")" = 1 ]
    # shellcheck disable=SC2053
    [[ $(tail -n 1 "$STATE/calls") == $pattern ]]
  done <<'E'
aws configure*|no AWS region
aws sts *|no valid AWS credentials: the words of aws
kubectl kustomize*|the manifests are wrong: the words of kubectl
docker info|docker does not answer: the words of docker
kubectl * version *|the cluster of the current context does not answer: the words of kubectl
aws ecr describe-repositories *|describe-repositories --region eu-central-1 --repository-names cdc/inventory-service: the words of aws
aws ecr create-repository *|the repository cdc/inventory-service could not be made
aws ecr get-login-password*|ECR gives no password
docker login*|docker could not log in
aws ecr describe-images *|the words of aws
docker build --target analytics-service*|analytics-service:TAG could not be built
docker push *analytics-service*|analytics-service:TAG could not be pushed
kubectl * get deployment/search-indexer *revision*|deployment/search-indexer cannot be read
E
}

@test "a rollout that fails: all that ran before go back" {
  live 7
  FAIL='*rollout status deployment/analytics-service*' deploy
  # Going back is waited for in the same way, and fails here too.
  ends 3 "analytics-service did not become ready; NOT rolled back: analytics-service"
  [ "$(called "*rollout undo deployment/* --to-revision=7")" = 3 ]
  # Nobody waits for the next service's new version.
  [ "$(called "*readyReplicas*")" = 0 ]
}

@test "rolled back: status 2, and the last line says what" {
  live 7
  READY=1 deploy
  ends 2 "inventory-service: 1 of 2 replicas are ready, with $place/inventory-service:$tag; rolled back: inventory-service analytics-service search-indexer"
  # As if the new manifests had never been applied.
  [ "$(called "*annotate deployment/search-indexer --overwrite kubectl.kubernetes.io/last-applied-configuration={manifest of search-indexer}")" = 1 ]
}

@test "what is new cannot go back" {
  echo 7 >"$STATE/revision-inventory-service"
  READY=1 deploy
  ends 2 "new, and left for a look: analytics-service search-indexer; rolled back: inventory-service"
  [ "$(called "*rollout undo*")" = 1 ]
}

@test "manifests that are refused half way: rolled back" {
  live 7
  FAIL='* apply --kustomize *' deploy
  ends 2 "the manifests could not be applied; rolled back: inventory-service analytics-service search-indexer"
}

@test "rolling back fails: status 3" {
  live 7
  READY=1 FAIL='*rollout undo deployment/search-indexer*' deploy
  ends 3 "NOT rolled back: search-indexer"
}

@test "interrupted while it waits: rolled back" {
  live 7
  INTERRUPT=TERM deploy
  ends 2 "interrupted; rolled back: inventory-service analytics-service search-indexer"
  grep -q 'the policy that was' "$STATE/applied"
}

@test "interrupted again while it rolls back: rolls back to the end" {
  live 7
  INTERRUPT=INT AGAIN=INT deploy
  ends 2 "interrupted; rolled back: inventory-service analytics-service search-indexer"
}

@test "its terminal goes away: rolled back, without a word" {
  live 7
  INTERRUPT=HUP deploy
  [ "$status" = 2 ]
  [ "$(grep -c 'rollout undo' "$STATE/calls")" = 3 ]
}

@test "a replica that is ready a little later is waited for" {
  live 7
  READY=1 LATER=2 PATIENCE=30 deploy
  ends 0 "done"
}

@test "a pod that is not healthy: rolled back" {
  live 7
  FAIL='*/pods/pod-2:9090/*' deploy --probe
  ends 2 "pod-2 is not healthy; rolled back"
}

@test "the Dockerfile builds with the toolchain of rust-toolchain.toml" {
  version=$(sed -n 's/^channel = "\(.*\)"/\1/p' "$here/../../rust-toolchain.toml")
  grep -qx "FROM rust:$version-bookworm AS build" "$here/../../Dockerfile"
  grep -qx "ENV RUSTUP_TOOLCHAIN=$version" "$here/../../Dockerfile"
}
