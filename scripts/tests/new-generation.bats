# What a cluster of played pods (scripts/check-k8s.sh) cannot show of scripts/new-generation.sh. Run by: bats scripts/tests
bats_require_minimum_version 1.5.0

load common
setup() {
  stand_in kubectl
  unset DYNAMODB_TABLE DYNAMODB_TOKENS_TABLE
  checkout new-generation.sh in-cluster.sh deploy-consumers.sh
  export PATIENCE=0
}
next() { run as_in_a_terminal "$project/scripts/new-generation.sh" "$@" search-indexer 2; }
scaled() { sed -n 's#.* scale deployment/search-indexer-g2 --replicas=##p' "$STATE/calls" | xargs; }
hand_over() { # what `start` printed is in the overlay
  : >"$STATE/calls"
  printf '%s\n' GENERATION=2 DYNAMODB_TABLE=product-search-index-g2 DYNAMODB_TOKENS_TABLE=product-search-tokens-g2 \
    >"$project/k8s/overlays/prod/search-indexer.env"
  next hand-over
}

@test "its tables are called as the live ones, with the generation" {
  TABLE=dev-index-g12 TOKENS=dev-tokens run "$project/scripts/new-generation.sh" start search-indexer 13
  ends 0 "DYNAMODB_TOKENS_TABLE=dev-tokens-g13"
  [[ $output == *$'GENERATION=13\nDYNAMODB_TABLE=dev-index-g13\nDYNAMODB_TOKENS_TABLE=dev-tokens-g13' ]]
  DYNAMODB_TABLE=mine run "$project/scripts/new-generation.sh" start search-indexer 13
  [[ $output == *$'\nDYNAMODB_TABLE=mine\nDYNAMODB_TOKENS_TABLE=product-search-tokens-g13' ]]
}

@test "a verify whose image is not there does not wait for it" {
  export TIMEOUT=2
  for reason in ErrImagePull ImagePullBackOff InvalidImageName; do
    WAITING="$reason a/cdc/cdc:v1" run "$project/scripts/new-generation.sh" verify search-indexer 2
    ends 1 "verify-search-indexer cannot begin ($reason): the node cannot have the image a/cdc/cdc:v1, which"
  done
  WAITING="ContainerCreating a/cdc/cdc:v1" run "$project/scripts/new-generation.sh" verify search-indexer 2
  ends 1 "verify-search-indexer has not ended"
  JOB=Complete run "$project/scripts/new-generation.sh" verify search-indexer 2
  ends 0 "generation 2: exact"
}

@test "verify: both, the second one with its own settings; what is not exact is said" {
  JOB=Complete next verify
  ends 0 "generation 2: exact"
  [[ $output == *"the words of the job"*"the live generation: exact"*"the words of the job"* ]]
  grep -q '^  name: verify-search-indexer$' "$STATE/made"
  grep -q '^  name: verify-search-indexer-g2$' "$STATE/made"
  [ "$(grep -c '  args: \["verify", "search", "--wait-seconds", "600", \]' "$STATE/made")" = 2 ]
  [ "$(grep -c '  env: \[{name: "GENERATION", value: "2"}, .*{name: "KAFKA_GROUP_ID", value: "search-indexer-group-g2"}' "$STATE/made")" = 1 ]
  JOB=Failed next verify
  ends 1 "generation 2 is not exact, or could not tell"
  [[ $output == *"the live generation: NOT exact"* ]]
}

@test "hand-over: the new generation's own deployment stops, and the service goes on" {
  hand_over
  ends 0 "search-indexer is generation 2. Next: clean-up"
  [ "$(scaled)" = 0 ]
  grep -o ' annotate .*\| scale .*\| wait .*\| apply --kustomize' "$STATE/calls" | diff - <(
    echo " annotate deployment/search-indexer-g2 --overwrite cdc/replaces=1"
    echo " annotate deployment/search-indexer-g2 --overwrite cdc/replicas=3"
    echo " scale deployment/search-indexer-g2 --replicas=0"
    echo " wait --for=delete pod --selector app.kubernetes.io/instance=search-indexer-g2 --timeout=90s"
    echo " apply --kustomize"
    echo " annotate deployment/search-indexer-g2 cdc/replicas-"
  )
}

@test "a hand-over that fails: the new generation's own deployment runs again" {
  FAIL='*wait --for=delete*' hand_over
  ends 1 "FAILED: the pods of search-indexer-g2 have not ended, so search-indexer did not go on with generation 2: search-indexer-g2 does, as before"
  [ "$(scaled)" = "0 3" ]
  [[ $(cat "$STATE/calls") != *' apply '* ]]
  FAIL='*apply --kustomize*' hand_over
  ends 1 "FAILED: search-indexer could not go on with generation 2: search-indexer-g2 does, as before"
  [ "$(scaled)" = "0 3" ]
  FAIL='*scale *replicas=[03]' hand_over
  ends 1 "search-indexer-g2 could not be stopped, and search-indexer-g2 could not be started again: kubectl scale -n cdc-consumers deployment/search-indexer-g2 --replicas=3"
}

@test "a hand-over that is interrupted: the same" {
  for signal in INT TERM; do
    rm -f "$STATE/interrupted"
    INTERRUPT=$signal hand_over
    ends 1 "FAILED: interrupted, so search-indexer did not go on with generation 2: search-indexer-g2 does, as before"
    [ "$(scaled)" = "0 3" ]
    [[ $(cat "$STATE/calls") != *' apply '* ]]
  done
  # The terminal that went away hears nothing of it.
  rm "$STATE/interrupted"
  INTERRUPT=HUP hand_over
  [ "$status" = 1 ]
  [ "$(scaled)" = "0 3" ]
}

@test "a second hand-over knows how many there were" {
  REPLICAS=0 NOTED=5 FAIL='*wait --for=delete*' hand_over
  ends 1 "search-indexer-g2 does, as before"
  [ "$(scaled)" = "0 5" ]
  grep -q ' annotate deployment/search-indexer-g2 --overwrite cdc/replicas=5$' "$STATE/calls"
  # One that was done, and is done again.
  REPLICAS=0 FAIL='*apply --kustomize*' hand_over
  ends 1 "FAILED: search-indexer could not go on with generation 2"
  [ "$(scaled)" = 0 ]
}
