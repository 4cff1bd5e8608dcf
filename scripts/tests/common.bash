# What the tests here share.
stand_in() { # TOOL...: stand-in.sh under these names, with nothing done yet
  local tool
  export STATE=$BATS_TEST_TMPDIR/state
  here=$BATS_TEST_DIRNAME
  mkdir -p "$STATE" "$BATS_TEST_TMPDIR/bin"
  for tool; do ln -s "$here/stand-in.sh" "$BATS_TEST_TMPDIR/bin/$tool"; done
  PATH=$BATS_TEST_TMPDIR/bin:$PATH
  : >"$STATE/calls"
}
checkout() { # SCRIPT...: a copy of the project with these
  project=$BATS_TEST_TMPDIR/project
  mkdir -p "$project/scripts"
  cp -r "$here/../../k8s" "$here/../../Dockerfile" "$project/"
  cp "${@/#/$here/../}" "$project/scripts/"
}
# In the background, or under nohup, some signals are ignored from the beginning, and cannot be trapped.
as_in_a_terminal() { env --default-signal=INT,HUP,TERM "$@"; }
last() { echo "${lines[-1]}"; }
ends() { # STATUS WORDS: in its last line
  if [ "$status" != "$1" ] || [[ $(last) != *"$2"* ]]; then
    echo "ended with $status: $output"
    return 1
  fi
}
