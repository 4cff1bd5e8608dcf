#!/usr/bin/env bash
# scripts/aws.sh - DynamoDB and S3 for tests, on 127.0.0.1, without containers and without an AWS account.
#
#   scripts/aws.sh install [group...]   pinned versions, below ${CDC_CACHE:-~/.cache/cdc-platform}; again: does nothing
#   scripts/aws.sh up      [group...]   starts, and waits (bounded) until it answers; running already is fine
#   scripts/aws.sh down    [group...]   stops what this script started, by process id
#   scripts/aws.sh kill    [group...]   SIGKILL, to it and to what it started (LocalStack's java); for crash tests
#   scripts/aws.sh status  [group...]   a line for each server; exit 0 if all that is installed runs, 3 if not
#   scripts/aws.sh env     [group]      shell exports: endpoints, stand-in credentials, region
#
# Groups (default: ls)
#   ls      LocalStack: S3, and DynamoDB through DynamoDB Local. The tests' reference. Port 4566.
#   mini    MiniStack: both, in one small process, installed in seconds. Port 4620.
#
# Faults: tests put a proxy of their own between (cdc/tests/proxy).
#
# Settings: CDC_CACHE, CDC_PYTHON, CDC_JAVA_HOME, P_LS, P_MINI (ports), and LocalStack's own.
# Several at once: give each its own ports and its own CDC_AWS_DATA (a folder; what is installed is shared).
# Missing tools: says what to install; as root with CI=true installs it with apt-get.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
HOME_DIR=${CDC_CACHE:-$HOME/.cache/cdc-platform}/aws
OWN=${CDC_AWS_DATA:-$HOME_DIR}
MARK=$HOME_DIR/installed RUN=$OWN/run LOG=$OWN/log TMP=$OWN/tmp
P_LS=${P_LS:-4566} P_MINI=${P_MINI:-4620}
V_DYNAMODB=3.1.0 V_AGENT=1.15.11 V_MAVEN_COPY=2.8 V_MINI=1.5.33

say() { echo "aws.sh: $*"; }
die() {
  echo "aws.sh: $*" >&2
  exit 1
}

# ---------------------------------------------------------------- tools of the machine
# need WHAT PACKAGE... : WHAT is missing; returns after installing it, or ends.
need() {
  local what=$1
  shift
  if [ "$(id -u)" = 0 ] && [ "${CI:-}" = true ] && command -v apt-get >/dev/null; then
    say "$what is missing: apt-get install $*"
    { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"; } >>"$LOG/install.log" 2>&1 ||
      die "apt-get install $* failed, see $LOG/install.log"
  else
    die "$what is missing: apt-get install $*"
  fi
}
has() { command -v "$1" >/dev/null 2>&1; }
need_tool() {
  has "$1" || need "$1" "${2:-$1}"
  has "$1" || die "$1 is still missing"
}

# LocalStack 4.14 needs Python 3.13; 4.9.2 is the last for 3.10 to 3.12.
look_for_python() {
  local python minor
  PYTHON='' PYTHON_MINOR=0
  for python in ${CDC_PYTHON:-python3.13 "$HOME"/.pyenv/versions/3.13*/bin/python python3.12 python3.11 python3.10 python3}; do
    has "$python" || continue
    minor=$("$python" -c 'import sys, venv, ensurepip; print(sys.version_info[1])' 2>/dev/null) || continue
    case $minor in 10 | 11 | 12 | 13) ;; *) continue ;; esac
    if [ "$minor" -gt "$PYTHON_MINOR" ]; then PYTHON=$python PYTHON_MINOR=$minor; fi
  done
  [ -n "$PYTHON" ]
}
find_python() {
  look_for_python || { need "Python 3.10 to 3.13 with venv" python3 python3-venv && look_for_python; } ||
    die "no Python 3.10 to 3.13 with venv and ensurepip: set CDC_PYTHON"
}

look_for_java() {
  local home version
  for home in ${CDC_JAVA_HOME:-} ${JAVA_HOME:-} "$(readlink -f "$(command -v java || echo /none)" | sed 's#/bin/java$##')" /usr/lib/jvm/*; do
    [ -x "$home/bin/java" ] || continue
    version=$("$home/bin/java" -XshowSettings:properties -version 2>&1 | sed -n 's/^ *java.specification.version = //p')
    case $version in 1.* | '') continue ;; esac
    if [ "$version" -ge 17 ]; then
      JAVA=$home
      return 0
    fi
  done
  return 1
}
find_java() {
  look_for_java || { need "Java 17 or later" default-jre-headless && look_for_java; } ||
    die "no Java 17 or later: set CDC_JAVA_HOME"
}

# ---------------------------------------------------------------- install
# once NAME FUNCTION: runs it unless this very version is installed.
once() {
  if [ -e "$MARK/$1" ]; then
    [ -n "${QUIET:-}" ] || say "$1: installed"
    return 0
  fi
  say "$1: installing"
  local begun=$SECONDS
  "$2"
  touch "$MARK/$1"
  say "$1: installed in $((SECONDS - begun)) s"
}

localstack_version() {
  if [ "$PYTHON_MINOR" -ge 13 ]; then
    V_LS=4.14.0
    LS_PINS="localstack-core==4.14.0 boto3==1.42.54 botocore==1.42.54 s3transfer==0.16.1 moto-ext==5.1.22"
  else
    V_LS=4.9.2
    LS_PINS="localstack-core==4.9.2 boto3==1.40.40 botocore==1.40.40 s3transfer==0.14.0 moto-ext==5.1.14.post7 tailer==0.4.1"
  fi
}
install_localstack() {
  local venv=$HOME_DIR/venv-ls
  rm -rf "$venv"
  "$PYTHON" -m venv "$venv"
  { cat "$HERE/aws/localstack-pins.txt" && tr ' ' '\n' <<<"$LS_PINS"; } >"$TMP/pins.txt"
  "$venv/bin/pip" install -q --disable-pip-version-check -c "$TMP/pins.txt" \
    "localstack-core[base-runtime]==$V_LS" moto-ext pymongo service-identity psutil pyopenssl cbor2
}

LS_ROOT=$OWN/lsroot
LS_LIB=$HOME_DIR/lsroot/var/lib/localstack/lib
# LocalStack would download DynamoDB Local at its first use; it is put where it looks, from Maven Central.
install_dynamodb() {
  need_tool mvn maven
  local lib=$LS_LIB/dynamodb-local/2
  rm -rf "$lib"
  mkdir -p "$lib/DynamoDBLocal_lib" "$TMP/dynamodb"
  sed -e "s/@DYNAMODB@/$V_DYNAMODB/" -e "s/@AGENT@/$V_AGENT/" "$HERE/aws/dynamodb-local.pom.xml" >"$TMP/dynamodb/pom.xml"
  JAVA_HOME=$JAVA mvn -q -B -f "$TMP/dynamodb/pom.xml" "org.apache.maven.plugins:maven-dependency-plugin:$V_MAVEN_COPY:copy-dependencies" \
    -DincludeScope=runtime -DoutputDirectory="$lib/DynamoDBLocal_lib"
  # LocalStack starts java with an agent of this name, which lifts a limit that no test comes near; an idle one does.
  mv "$lib"/DynamoDBLocal_lib/byte-buddy-agent-*.jar "$lib/ddb-local-loader-0.1.jar"
  "$PYTHON" "$HERE/aws/launcher_jar.py" "$lib"
}

install_mini() {
  local venv=$HOME_DIR/venv-mini
  rm -rf "$venv"
  "$PYTHON" -m venv "$venv"
  "$venv/bin/pip" install -q --disable-pip-version-check "ministack==$V_MINI"
}

install_group() {
  case $1 in
    ls)
      need_tool curl
      find_python
      find_java
      localstack_version
      once "localstack-$V_LS" install_localstack
      once "dynamodb-$V_DYNAMODB" install_dynamodb
      mkdir -p "$LS_LIB/java"
      [ "$(readlink "$LS_LIB/java/21")" = "$JAVA" ] || ln -sfn "$JAVA" "$LS_LIB/java/21"
      ;;
    mini)
      need_tool curl
      find_python
      once "ministack-$V_MINI" install_mini
      ;;
  esac
}
is_installed() {
  case $1 in
    ls) compgen -G "$MARK/localstack-*" && compgen -G "$MARK/dynamodb-*" ;;
    mini) compgen -G "$MARK/ministack-*" ;;
  esac >/dev/null
}

# ---------------------------------------------------------------- processes
# A process is known by its id and its start time, so that a reused id is not taken for it.
start_time() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }
is_alive() {
  local pid since
  read -r pid since 2>/dev/null <"$RUN/$1.pid" || return 1
  [ -n "$since" ] && [ "$(start_time "$pid")" = "$since" ] && PID=$pid
}
children() { cat /proc/"$1"/task/*/children 2>/dev/null || true; }
is_port_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
answers() { [ "$(curl -s -o /dev/null -m 3 -w '%{http_code}' "$1")" = 200 ]; }

ready_localstack() {
  local health
  health=$(curl -s -m 3 "http://127.0.0.1:$P_LS/_localstack/health") || return 1
  [[ $health == *'"dynamodb": "running"'* && $health == *'"s3": "running"'* ]]
}
ready_ministack() { answers "http://127.0.0.1:$P_MINI/_ministack/health"; }

# start NAME PORT SECONDS COMMAND... : ready when ready_NAME says so.
start() {
  local name=$1 port=$2 seconds=$3 begun=$SECONDS
  shift 3
  if is_alive "$name"; then
    say "$name: runs already (pid $PID)"
    return 0
  fi
  if is_port_taken "$port"; then die "$name: port $port is taken by a process that this script did not start for ${OWN}"; fi
  (cd "$RUN" && exec setsid "$@" >"$LOG/$name.log" 2>&1 </dev/null) &
  local pid=$!
  disown "$pid"
  echo "$pid $(start_time "$pid")" >"$RUN/$name.pid"
  while ! "ready_$name"; do
    if ! is_alive "$name"; then
      tail -n 15 "$LOG/$name.log" >&2
      die "$name: ended while starting, see $LOG/$name.log"
    fi
    if [ $((SECONDS - begun)) -ge "$seconds" ]; then
      tail -n 15 "$LOG/$name.log" >&2
      stop "$name"
      die "$name: not ready in $seconds s, see $LOG/$name.log"
    fi
    sleep 0.1
  done
  say "$name: ready in $((SECONDS - begun)) s (pid $pid, port $port)"
}

# TERM, up to 20 s, then KILL; what it left running (LocalStack's java) too.
stop() {
  local name=$1 pid child begun=$SECONDS left=()
  if ! is_alive "$name"; then
    rm -f "$RUN/$name.pid"
    return 0
  fi
  pid=$PID
  for child in $(children "$pid"); do left+=("$child $(start_time "$child")"); done
  kill -TERM "$pid" 2>/dev/null || true
  while is_alive "$name" && [ $((SECONDS - begun)) -lt 20 ]; do sleep 0.1; done
  if is_alive "$name"; then kill -KILL "$pid" 2>/dev/null || true; fi
  for child in "${left[@]}"; do
    if [ "$(start_time "${child% *}")" = "${child#* }" ]; then kill -KILL "${child% *}" 2>/dev/null || true; fi
  done
  rm -f "$RUN/$name.pid"
  say "$name: down"
}

# SIGKILL, to the process and to what it started.
kill_hard() {
  local name=$1 pid child left begun=$SECONDS
  is_alive "$name" || die "$name does not run"
  pid=$PID left=$(children "$PID")
  # It cannot start another one in between.
  kill -STOP "$pid"
  # shellcheck disable=SC2086  # a list of process ids
  kill -KILL "$pid" $left 2>/dev/null || true
  for child in $pid $left; do
    while [[ $(run_state "$child") == [!Z] ]]; do
      [ $((SECONDS - begun)) -lt 10 ] || die "$name (pid $child) is still there"
      sleep 0.05
    done
  done
  rm -f "$RUN/$name.pid"
  say "$name: killed"
}
run_state() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -c1; }

# Another LocalStack than the shared one: a root of its own, with the libraries of the other.
own_root() {
  [ "$OWN" != "$HOME_DIR" ] || return 0
  mkdir -p "$LS_ROOT/var/lib/localstack"
  [ -e "$LS_ROOT/var/lib/localstack/lib" ] || ln -s "$LS_LIB" "$LS_ROOT/var/lib/localstack/lib"
}

up_group() {
  case $1 in
    # OVERRIDE_IN_DOCKER=0: otherwise, inside a container, LocalStack writes outside of our folder.
    ls)
      own_root
      start localstack "$P_LS" 120 env OVERRIDE_IN_DOCKER=0 FILESYSTEM_ROOT="$LS_ROOT" XDG_CACHE_HOME="$OWN/cache" \
        GATEWAY_LISTEN="127.0.0.1:$P_LS" LOCALSTACK_HOST="localhost:$P_LS" SERVICES=s3,dynamodb STRICT_SERVICE_LOADING=1 \
        EAGER_SERVICE_LOADING=1 DYNAMODB_IN_MEMORY="${DYNAMODB_IN_MEMORY:-1}" DYNAMODB_HEAP_SIZE="${DYNAMODB_HEAP_SIZE:-1g}" \
        DISABLE_EVENTS=1 SKIP_SSL_CERT_DOWNLOAD=1 DNS_ADDRESS=0 LS_LOG="${LS_LOG:-warn}" \
        "$HOME_DIR/venv-ls/bin/python" -m localstack.runtime.main
      ;;
    mini) start ministack "$P_MINI" 30 env GATEWAY_PORT="$P_MINI" HOME="$TMP" "$HOME_DIR/venv-mini/bin/ministack" ;;
  esac
}
servers() {
  case $1 in
    ls) echo "localstack $P_LS" ;;
    mini) echo "ministack $P_MINI" ;;
  esac
}

# ---------------------------------------------------------------- commands
status() {
  local group name port code=0
  for group in "$@"; do
    if ! is_installed "$group"; then
      echo "$group: not installed"
      continue
    fi
    while read -r name port; do
      if is_alive "$name"; then
        echo "$name: up, pid $PID, $(($(awk '/VmRSS/ { print $2 }' "/proc/$PID/status") / 1024)) MiB, http://127.0.0.1:$port"
      else
        echo "$name: down"
        code=3
      fi
    done < <(servers "$group")
  done
  return "$code"
}
print_env() {
  local port
  case $1 in
    ls) port=$P_LS ;;
    mini) port=$P_MINI ;;
  esac
  echo "export AWS_ENDPOINT_URL_DYNAMODB=http://127.0.0.1:$port AWS_ENDPOINT_URL_S3=http://127.0.0.1:$port" \
    "AWS_ACCESS_KEY_ID=testaccess AWS_SECRET_ACCESS_KEY=testsecret12 AWS_REGION=us-east-1 AWS_EC2_METADATA_DISABLED=true"
}

command=${1:-}
[ $# -eq 0 ] || shift
groups=("$@")
for group in "${groups[@]}"; do
  case $group in ls | mini) ;; *) die "no group '$group': ls or mini" ;; esac
done
if [ ${#groups[@]} -eq 0 ]; then
  case $command in down | status) groups=(mini ls) ;; *) groups=(ls) ;; esac
fi
mkdir -p "$RUN" "$LOG" "$MARK" "$TMP" "$OWN/cache"
case $command in
  install) for group in "${groups[@]}"; do install_group "$group"; done ;;
  up) for group in "${groups[@]}"; do
    QUIET=1 install_group "$group"
    up_group "$group"
  done ;;
  down) for group in "${groups[@]}"; do
    while read -r name _; do stop "$name"; done < <(servers "$group")
  done ;;
  kill) for group in "${groups[@]}"; do
    while read -r name _; do kill_hard "$name"; done < <(servers "$group")
  done ;;
  status) status "${groups[@]}" ;;
  env) print_env "${groups[0]}" ;;
  *)
    sed -n '2,/^set -/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
    [ "$command" != --help ] || exit 0
    exit 64
    ;;
esac
