# What a cluster of played pods (scripts/check-k8s.sh) cannot show of scripts/new-generation.sh. Run by: bats scripts/tests
bats_require_minimum_version 1.5.0

load common
setup() {
  stand_in kubectl
  unset DYNAMODB_TABLE DYNAMODB_TOKENS_TABLE
  checkout new-generation.sh
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
