#!/usr/bin/env bash
# Stands for aws, docker and kubectl in the tests here, under their names: writes each call down in $STATE/calls, plays a
# registry and a cluster that remember what was done, and fails where $FAIL (a pattern of the call) says so.
set -euo pipefail

name=$(basename "$0")
call="$name $*"
echo "$call" >>"$STATE/calls"
# shellcheck disable=SC2053  # a pattern
if [[ -n ${FAIL:-} && $call == $FAIL ]]; then
  echo "the words of $name" >&2
  exit 1
fi

after() { # OPTION: its value
  local found=''
  for word in $call; do
    if [ "$found" ]; then
      echo "$word"
      return
    fi
    [ "$word" != "$1" ] || found=1
  done
}
absent() { # ERROR: as AWS says it
  echo "An error occurred ($1) when calling the operation" >&2
  exit 254
}
mark() { echo "$STATE/$(tr / : <<<"$1")"; }

case $call in
  'aws sts get-caller-identity'*) echo 123456789012 ;;
  'aws configure get region') echo eu-central-1 ;;
  'aws ecr get-login-password'*) echo a-password ;;
  'aws ecr describe-repositories'*) [ -e "$(mark "$(after --repository-names)")" ] || absent RepositoryNotFoundException ;;
  'aws ecr create-repository'*) touch "$(mark "$(after --repository-name)")" ;;
  'aws ecr describe-images'*)
    image=$(after --image-ids)
    [ -e "$(mark "$(after --repository-name):${image#imageTag=}")" ] || absent ImageNotFoundException
    ;;
  'docker login'*) cat >"$STATE/password" ;;
  'docker push '*) touch "$(mark "cdc/${2##*/cdc/}")" ;;
  'kubectl kustomize '*) tee "$STATE/kustomization" <"$2/kustomization.yaml" ;;
  *'.status.readyReplicas'*)
    service=$(grep -o 'deployment/[a-z-]*' <<<"$call" | head -n 1)
    image=$(sed -n "s#.*name: cdc/${service#*/}, newName: \(.*\), newTag: \"\(.*\)\"}#\1:\2#p" "$STATE/kustomization")
    [ -n "${READY:-}" ] || READY=2
    # As READY says; from the second look on as LATER says.
    [ ! -e "$STATE/looked" ] || READY=${LATER:-$READY}
    touch "$STATE/looked"
    echo "2 $image $READY"
    ;;
  *'get deployment/'*revision*)
    service=$(grep -o 'deployment/[a-z-]*' <<<"$call" | head -n 1)
    [ ! -e "$STATE/revision-${service#*/}" ] || cat "$STATE/revision-${service#*/}" <(echo "{manifest of ${service#*/}}")
    ;;
  *'rollout status'* | *'wait --for=delete'*)
    if [ -n "${INTERRUPT:-}" ] && [ ! -e "$STATE/interrupted" ]; then
      touch "$STATE/interrupted"
      kill "-$INTERRUPT" "$PPID"
    fi
    ;;
  *'rollout undo'*) [ -z "${AGAIN:-}" ] || kill "-$AGAIN" "$PPID" ;;
  *'get networkpolicies'*) echo networkpolicy.networking.k8s.io/found ;;
  *'apply view-last-applied'*) echo 'the policy that was' ;;
  *'apply --filename '*) cp "${!#}" "$STATE/applied" ;;
  *'get pods'*metadata.name*) echo pod-1 pod-2 ;;
  *'get pods'*waiting.reason*) echo "${WAITING:- }" ;;
  *'get deployment/'*'containers[0].image}')
    service=$(grep -o 'deployment/[a-z-]*' <<<"${call/-g2 / }")
    echo "here.example/cdc/${service#*/}:v1"
    ;;
  *'get deployment/'*'containers[0].envFrom}') echo '[{"configMapRef":{"name":"settings"}}]' ;;
  *'get deployment/'*'{.spec.replicas}') echo "${REPLICAS:-3}" ;;
  *'get deployment/'*'annotations.cdc/replicas}') echo "${NOTED:-}" ;;
  *'get deployment/'*'--output name') echo deployment.apps/found ;;
  *'apply -f -') cat >/dev/null ;;
  *'create -f -') cat >>"$STATE/made" ;;
  *' logs job/'*) echo 'the words of the job' ;;
  *'get deployment/'*configMapRef.name*) echo settings ;;
  *'get configmap/'*GENERATION*) echo 1 ;;
  *'get configmap/'*DYNAMODB_TABLE*) echo "${TABLE:-product-search-index}" ;;
  *'get configmap/'*DYNAMODB_TOKENS_TABLE*) echo "${TOKENS:-product-search-tokens}" ;;
  *'get job/'*status.conditions*) echo "${JOB:-}" ;;
esac
