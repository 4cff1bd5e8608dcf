# What the image is built from: .dockerignore lets every crate of the workspace through. The image of a release is built
# from binaries that are there already, so nothing else would notice a crate that is left out.
bats_require_minimum_version 1.5.0

@test "the build's context has every crate of the workspace" {
  cd "$BATS_TEST_DIRNAME/../.."
  members=$(sed -n 's/^members = \[\(.*\)\]$/\1/p' Cargo.toml | tr -d '" ' | tr ',' '\n')
  [ "$(wc -l <<<"$members")" -ge 6 ]
  for member in $members; do
    grep -qx "!$member" .dockerignore || { echo ".dockerignore leaves $member out"; return 1; }
  done
}
