# What scripts/in-cluster.sh calls, and how it ends. That its job is one: scripts/check-k8s.sh. Run by: bats scripts/tests
bats_require_minimum_version 1.5.0

load common
setup() {
  stand_in kubectl
  checkout in-cluster.sh
  export JOB=Complete
}
in_cluster() { run "$project/scripts/in-cluster.sh" "$@"; }
made() { # LINE: of the job
  grep -qxF -- "$1" <(sed 's/^ *//' "$STATE/made") || {
    cat "$STATE/made"
    return 1
  }
}

@test "a job with the service's settings, in the image cdc of its tag" {
  in_cluster search-indexer doctor search
  ends 0 "the words of the job"
  made 'name: cdc-doctor-search-indexer'
  made 'image: here.example/cdc/cdc:v1'
  made 'args: ["doctor", "search", ]'
  made 'serviceAccountName: cdc'
  made 'envFrom: [{"configMapRef":{"name":"settings"}}, {secretRef: {name: cdc-source, optional: true}}]'
  made 'env: [{name: TMPDIR, value: /tmp}]'
  made 'volumeMounts: [{name: cdc-tmp, mountPath: /tmp}]'
  # One of that name would be in its way.
  grep -n 'delete job\|create -f' "$STATE/calls" | cut -d: -f2 | diff - <(
    echo kubectl --namespace cdc-consumers delete job cdc-doctor-search-indexer --ignore-not-found
    echo kubectl --namespace cdc-consumers create -f -
  )
}

@test "everything after SERVICE is the command's, as it stands" {
  in_cluster --context blue --set GENERATION=2 --set 'DLQ=a "b"' --name mine inventory-service dlq list --set '$(X) \ "y"' ''
  ends 0 "the words of the job"
  made 'name: mine'
  made 'args: ["dlq", "list", "--set", "$$(X) \\ \"y\"", "", ]'
  made 'env: [{name: "GENERATION", value: "2"}, {name: "DLQ", value: "a \"b\""}, {name: TMPDIR, value: /tmp}]'
  [ "$(grep -c 'kubectl --context blue --namespace cdc-consumers ' "$STATE/calls")" = "$(wc -l <"$STATE/calls")" ]
}

@test "verify must have the source" {
  in_cluster inventory-service verify inventory
  ends 0 "the words of the job"
  made 'envFrom: [{"configMapRef":{"name":"settings"}}, {secretRef: {name: cdc-source}}]'
  rm "$STATE/made"
  FAIL='*get secret/cdc-source*' in_cluster inventory-service verify inventory
  ends 1 "verify needs the source: kubectl create secret generic cdc-source -n cdc-consumers"
  [ ! -e "$STATE/made" ]
}

@test "ends with 1 if the command does not end with 0, cannot begin, or does not end" {
  export TIMEOUT=2
  JOB=Failed in_cluster inventory-service doctor inventory
  ends 1 "cdc-doctor-inventory-service: cdc doctor did not end with 0"
  [[ $output == *"the words of the job"* ]]
  JOB='' WAITING="ErrImagePull a/cdc/cdc:v1" in_cluster inventory-service doctor inventory
  ends 1 "cdc-doctor-inventory-service cannot begin (ErrImagePull): the node cannot have the image a/cdc/cdc:v1, which"
  JOB='' in_cluster inventory-service doctor inventory
  ends 1 "cdc-doctor-inventory-service has not ended: kubectl logs -n cdc-consumers job/cdc-doctor-inventory-service"
  FAIL='*{.metadata.name}' in_cluster inventory-service doctor inventory
  ends 1 "there is no deployment/inventory-service"
}

@test "wrong usage is 64, and nothing is done" {
  for wrong in "" inventory-service "shop doctor shop" "--set GENERATION inventory-service doctor" "--name" "--all inventory-service doctor"; do
    # shellcheck disable=SC2086
    in_cluster $wrong
    [ "$status" = 64 ]
  done
  [ ! -s "$STATE/calls" ]
  in_cluster --help
  [ "$status" = 0 ]
}
