#!/usr/bin/env bash
# stack.sh - a real change source on one machine, without containers:
#   PostgreSQL (logical replication) -> Debezium on Kafka Connect -> Kafka (KRaft), and LocalStack (DynamoDB, S3; aws.sh).
# Everything listens on 127.0.0.1 only and lives below $STACK_HOME (PostgreSQL's data elsewhere when root, see PG_DATA).
# For recording, tests and trials: one broker, one replica, fsync off. Never for data that you would miss.
#
#   stack.sh install [COMPONENT...]  fetch jars (Maven), PostgreSQL (apt, as root), LocalStack; again does no harm
#   stack.sh up [COMPONENT...]       start and wait until ready (default: all)
#   stack.sh down [COMPONENT...]     stop, in reverse order
#   stack.sh kill COMPONENT          SIGKILL, for crash tests (start again with `up COMPONENT`)
#   stack.sh status                  pid, port and memory of each; connectors; exit code 3 unless all run
#   stack.sh wipe                    down, then delete all data (keeps what was installed)
#   stack.sh create-connector [-n NAME] [TEMPLATE] [key=value...]
#                                    TEMPLATE: a file in stack/connectors (default shop); waits until it streams
#   stack.sh connector-config [TEMPLATE] [key=value...]     the configuration that would make, as JSON
#   stack.sh delete-connector|stop-connector|resume-connector|connector-status [NAME]
#   stack.sh psql [ARGS...]          psql on the stack's database
#   stack.sh settle [SECONDS]        wait until every change committed by now is in Kafka
#   stack.sh topics                  topics and how many records they hold
#   stack.sh await SECONDS TOPIC=COUNT...   wait until topics hold that many records
#   stack.sh capture FILE TOPIC...   write everything they hold to FILE, one JSON object a line (tools/KafkaTool.java)
#   stack.sh produce                 records in that form from standard input into Kafka
#   stack.sh kafka-tool CLASS [ARGS...]     run a command line tool of Kafka's
#   stack.sh env                     print the settings, and what `cdc` needs to know: eval "$(scripts/stack.sh env)"
#
# COMPONENT: postgres kafka connect aws. Needs JDK 17+, Maven, curl; aws also Python 3.10+. Several stacks at once: give
# each its own STACK_NAME and ports (PG_PORT, KAFKA_PORT, KAFKA_CONTROLLER_PORT, CONNECT_PORT, LS_PORT). Stack `main` has
# the LocalStack that aws.sh runs without settings. LocalStack keeps everything in memory: gone with its process.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/stack

# ---- settings: all can be set in the environment --------------------------------------------------------------------
: "${CDC_CACHE:=$HOME/.cache/cdc-platform}"
: "${STACK_HOME:=$CDC_CACHE/stack}" # what is installed, once
: "${STACK_NAME:=main}"              # whose data; several stacks need several names and ports
: "${PG_PORT:=15432}" "${KAFKA_PORT:=19092}" "${KAFKA_CONTROLLER_PORT:=19093}" "${CONNECT_PORT:=18083}"
: "${LS_PORT:=${P_LS:-4566}}"
: "${PG_MAJOR:=15}" "${PG_DATABASE:=shop}" "${PG_USER:=postgres}" "${PG_PASSWORD:=postgres}"
: "${TOPIC_PREFIX:=shop}"
TOPIC_PREFIX=${TOPIC_PREFIX%.public.} # a service's TOPIC_PREFIX names the schema too
: "${S3_BUCKET:=cdc-$STACK_NAME}"     # for services: reports, state, dead letters
: "${KAFKA_CLUSTER_ID:=MkU3OEVBNTcwNTJENDM2Qk}"
: "${KAFKA_JVM:=-Xms128m -Xmx512m}" "${CONNECT_JVM:=-Xms128m -Xmx512m}"
: "${READY_TIMEOUT_S:=90}" "${STOP_TIMEOUT_S:=30}"
: "${MVN:=mvn}" "${MVN_ARGS:=}"
[[ $STACK_HOME == /* ]] || STACK_HOME=$PWD/$STACK_HOME
[[ $STACK_NAME =~ ^[a-z0-9-]+$ ]] || { echo "stack: STACK_NAME may have a-z, 0-9 and - only" >&2; exit 2; }
LIBS=$STACK_HOME/libs OWN=$STACK_HOME/stacks/$STACK_NAME
DATA=$OWN/data LOGS=$OWN/logs RUN=$OWN/run CONF=$OWN/conf
# PostgreSQL refuses to run as root, and its user may not be allowed to enter $STACK_HOME: so it gets a place of its own.
if ((EUID == 0)); then
  : "${PG_DATA:=/var/lib/postgresql/cdc-platform-$STACK_NAME-$(cksum <<<"$STACK_HOME" | cut -d' ' -f1)}"
else
  : "${PG_DATA:=$DATA/postgres}"
fi

AWS_OWN=$OWN/aws
[[ $STACK_NAME != main ]] || AWS_OWN=$CDC_CACHE/aws

CONNECT_URL=http://127.0.0.1:$CONNECT_PORT
PG_BIN=/usr/lib/postgresql/$PG_MAJOR/bin
COMPONENTS="kafka postgres connect aws" # in the order of starting; each starts while those before it do

say() { printf '%s\n' "$*" >&2; }
die() { say "stack: $*"; exit 1; }
now_ms() { echo $(($(date +%s%N) / 1000000)); }

# ---- processes ------------------------------------------------------------------------------------------------------
# A pid file holds "PID START". START is the kernel's start time of the process, so that a recycled pid is never taken
# for ours.
start_time() { local stat; stat=$(<"/proc/$1/stat") && cut -d' ' -f20 <<<"${stat##*) }"; }
write_pid() { mkdir -p "$RUN"; echo "$2 $(start_time "$2")" >"$RUN/$1.pid"; }
pid_of() { # prints the pid when the component runs
  local pid start file=$RUN/$1.pid
  [[ $1 != aws ]] || file=$AWS_OWN/run/localstack.pid
  [[ -f $file ]] && read -r pid start <"$file" || return 1
  [[ -d /proc/$pid && $(start_time "$pid" 2>/dev/null) == "$start" ]] && echo "$pid"
}
port_of() {
  case $1 in
    postgres) echo "$PG_PORT" ;; kafka) echo "$KAFKA_PORT" ;; connect) echo "$CONNECT_PORT" ;; aws) echo "$LS_PORT" ;;
    *) die "unknown component: $1 (there are: $COMPONENTS)" ;;
  esac
}
log_of() {
  case $1 in postgres) echo "$PG_DATA/server.log" ;; aws) echo "$AWS_OWN/log/localstack.log" ;; *) echo "$LOGS/$1.log" ;; esac
}
listening() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

wait_for() { # WHAT SECONDS COMPONENT COMMAND...: poll COMMAND until it succeeds, time is up, or COMPONENT has ended
  local what=$1 limit=$(($(now_ms) + $2 * 1000)) component=$3
  shift 3
  until "$@" >/dev/null; do
    pid_of "$component" >/dev/null || die "$component ended while waiting for $what: see $(log_of "$component")"
    (($(now_ms) < limit)) || die "timed out waiting for $what: see $(log_of "$component")"
    sleep 0.1
  done
}

launch() { # COMPONENT COMMAND...: in the background, with a session, log and pid file of its own
  local name=$1 log
  shift
  mkdir -p "$LOGS" "$RUN"
  log=$(log_of "$name")
  [[ ! -f $log ]] || mv -f "$log" "$log.prev"
  setsid "$@" </dev/null >"$log" 2>&1 &
  write_pid "$name" $!
}

gone_within() { # COMPONENT SECONDS
  local limit=$(($(now_ms) + $2 * 1000))
  while pid_of "$1" >/dev/null; do (($(now_ms) < limit)) || return 1; sleep 0.1; done
}
stop_process() { # SIGTERM, bounded wait, SIGKILL; only ever the recorded process
  local pid
  pid=$(pid_of "$1") || return 0
  kill "$pid" 2>/dev/null || true
  gone_within "$1" "$STOP_TIMEOUT_S" || { say "$1 did not stop in ${STOP_TIMEOUT_S} s: killing it"; kill -9 "$pid" || true; }
  gone_within "$1" 10 || die "$1 (pid $pid) cannot be killed"
}

render() { # TEMPLATE: each @NAME@ becomes the setting of that name
  local text name
  text=$(<"$1")
  for name in STACK_HOME DATA PG_PORT KAFKA_PORT KAFKA_CONTROLLER_PORT CONNECT_PORT PG_DATABASE PG_USER PG_PASSWORD \
    TOPIC_PREFIX; do
    text=${text//@$name@/${!name}}
  done
  [[ $text != *@[A-Z]*@* ]] || die "$1: unknown placeholder"
  printf '%s\n' "$text"
}

java_kafka() { java -Dlog4j2.configurationFile="$HERE/conf/log4j2-tool.properties" -cp "$LIBS/kafka/*:$STACK_HOME/tools" "$@"; }

# ---- install --------------------------------------------------------------------------------------------------------
install_postgres() {
  ((EUID == 0)) || die "PostgreSQL $PG_MAJOR is missing: run this as root, or apt-get install postgresql-$PG_MAJOR"
  apt-get update -qq
  # The package would make and start a cluster on port 5432; ours is private.
  mkdir -p /etc/postgresql-common
  [[ -e /etc/postgresql-common/createcluster.conf ]] ||
    echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "postgresql-$PG_MAJOR" >/dev/null
}

cmd_install() {
  local list
  list=$(wanted "$@")
  [[ $list != *aws* ]] || aws install ls >&2
  [[ $list != aws ]] || return 0
  command -v javac >/dev/null || die "needs a JDK, 17 or newer"
  command -v "$MVN" >/dev/null || die "needs Maven"
  [[ -x $PG_BIN/initdb ]] || install_postgres
  mkdir -p "$STACK_HOME/tools"
  # shellcheck disable=SC2086  # several arguments in one setting
  "$MVN" -B -q $MVN_ARGS -f "$HERE/maven/pom.xml" -Dstack.home="$STACK_HOME" generate-resources
  javac -cp "$LIBS/kafka/*" -d "$STACK_HOME/tools" "$HERE/tools/KafkaTool.java"
  say "installed below $STACK_HOME: $(du -sh "$STACK_HOME" | cut -f1)"
}

# ---- components -----------------------------------------------------------------------------------------------------
as_pg() { if ((EUID == 0)); then (cd / && runuser -u postgres -- "$@"); else "$@"; fi; }
psql_as() { # DATABASE ARGS...
  local database=$1
  shift
  PGPASSWORD=$PG_PASSWORD "$PG_BIN/psql" -X -h 127.0.0.1 -p "$PG_PORT" -U "$PG_USER" -d "$database" "$@"
}

make_cluster() {
  local pwfile
  install -d -m 700 "$PG_DATA"
  ((EUID != 0)) || chown postgres "$PG_DATA"
  pwfile=$(mktemp)
  printf '%s\n' "$PG_PASSWORD" >"$pwfile"
  ((EUID != 0)) || chown postgres "$pwfile"
  as_pg "$PG_BIN/initdb" --no-sync -D "$PG_DATA" -U "$PG_USER" -E UTF8 --locale=C.UTF-8 --auth=scram-sha-256 \
    --pwfile="$pwfile" >/dev/null
  rm -f "$pwfile"
  render "$HERE/conf/postgresql.conf.tmpl" >>"$PG_DATA/postgresql.conf"
}
start_postgres() {
  [[ -f $PG_DATA/PG_VERSION ]] || make_cluster
  # Returns once connections are accepted. What a killed server left behind, the new one recognises.
  as_pg "$PG_BIN/pg_ctl" -D "$PG_DATA" -l "$(log_of postgres)" -w -t "$READY_TIMEOUT_S" -s -o "-p $PG_PORT -c fsync=off" start ||
    die "postgres did not start: see $(log_of postgres)"
  write_pid postgres "$(head -1 "$PG_DATA/postmaster.pid")"
  if [[ -z $(psql_as postgres -Atc "select 1 from pg_database where datname = '$PG_DATABASE'") ]]; then
    psql_as postgres -qc "create database \"$PG_DATABASE\""
  fi
}
ready_postgres() { pid_of postgres; }
stop_postgres() {
  pid_of postgres >/dev/null || return 0
  as_pg "$PG_BIN/pg_ctl" -D "$PG_DATA" -m fast -w -t "$STOP_TIMEOUT_S" -s stop
}

start_kafka() {
  mkdir -p "$CONF" "$DATA"
  render "$HERE/conf/server.properties.tmpl" >"$CONF/server.properties"
  if [[ ! -f $DATA/kafka/meta.properties ]]; then
    java_kafka kafka.tools.StorageTool format -t "$KAFKA_CLUSTER_ID" -c "$CONF/server.properties" >"$CONF/format.log" 2>&1 ||
      die "Kafka's storage cannot be formatted: see $CONF/format.log"
  fi
  # shellcheck disable=SC2086
  launch kafka java $KAFKA_JVM -Dlog4j2.configurationFile="$HERE/conf/log4j2-server.properties" \
    -cp "$LIBS/kafka/*" kafka.Kafka "$CONF/server.properties"
}
ready_kafka() { grep -q 'Kafka Server started' "$(log_of kafka)" && listening "$KAFKA_PORT"; }
stop_kafka() { stop_process kafka; }

start_connect() {
  mkdir -p "$CONF"
  render "$HERE/conf/connect-distributed.properties.tmpl" >"$CONF/connect-distributed.properties"
  # shellcheck disable=SC2086
  launch connect java $CONNECT_JVM -Dlog4j2.configurationFile="$HERE/conf/log4j2-server.properties" \
    -cp "$LIBS/kafka/*" org.apache.kafka.connect.cli.ConnectDistributed "$CONF/connect-distributed.properties"
}
ready_connect() { curl -fs -m 5 "$CONNECT_URL/health"; }
stop_connect() { stop_process connect; }

aws() { P_LS=$LS_PORT CDC_CACHE=$CDC_CACHE CDC_AWS_DATA=$AWS_OWN "$HERE/../aws.sh" "$@"; }
start_aws() { aws up ls >&2; }
ready_aws() { aws status ls; }
stop_aws() { aws down ls >/dev/null; }

begin() { # start one component, without waiting
  ! listening "$(port_of "$1")" || die "port $(port_of "$1") for $1 is taken by another process"
  "start_$1"
}
finish() { # wait until it is ready
  wait_for "$1" "$READY_TIMEOUT_S" "$1" "ready_$1"
  say "$(printf '%-9s ready on 127.0.0.1:%s (pid %s)' "$1" "$(port_of "$1")" "$(pid_of "$1")")"
}
wanted() { # COMPONENT...: those asked for, in the order of starting
  local c list=" ${*:-$COMPONENTS} "
  for c in $list; do port_of "$c" >/dev/null; done
  for c in $COMPONENTS; do [[ $list != *" $c "* ]] || echo "$c"; done
}

cmd_up() {
  local c s list started=()
  list=$(wanted "$@")
  [[ $list == aws || (-d $LIBS/kafka && -x $PG_BIN/initdb) ]] || die "not installed: run '$0 install' first"
  for c in $list; do
    if pid_of "$c" >/dev/null; then say "$c runs already"; continue; fi
    if [[ $c == connect ]]; then # needs the broker
      for s in "${started[@]}"; do finish "$s"; done
      started=()
    fi
    begin "$c"
    started+=("$c")
  done
  for c in "${started[@]}"; do finish "$c"; done
}
cmd_down() {
  local c list
  list=$(wanted "$@")
  for c in $(tac <<<"$list"); do
    ! pid_of "$c" >/dev/null || { "stop_$c"; say "$c stopped"; }
    rm -f "$RUN/$c.pid"
  done
}
cmd_kill() {
  local pid
  [[ $# -eq 1 ]] || die "kill COMPONENT"
  if [[ $1 == aws ]]; then aws kill ls >&2; return; fi
  pid=$(pid_of "$1") || die "$1 does not run"
  kill -9 "$pid"
  gone_within "$1" 10 || die "$1 (pid $pid) is still there"
  rm -f "$RUN/$1.pid"
}
cmd_wipe() {
  cmd_down connect postgres kafka aws
  rm -rf "$OWN" "$PG_DATA"
}

memory_mib() { # PID: of the process and its children, shared pages counted in proportion
  local pid
  for pid in "$1" $(pgrep -P "$1"); do cat "/proc/$pid/smaps_rollup" 2>/dev/null || true; done |
    awk '/^Pss:/ {s += $2} END {printf "%d", s / 1024}'
}
cmd_status() {
  local c pid rc=0
  printf '%-9s %-8s %-6s %s\n' COMPONENT PID PORT MEMORY
  for c in $COMPONENTS; do
    if pid=$(pid_of "$c"); then printf '%-9s %-8s %-6s %s MiB\n' "$c" "$pid" "$(port_of "$c")" "$(memory_mib "$pid")"
    else printf '%-9s %-8s %-6s -\n' "$c" down "$(port_of "$c")"; rc=3; fi
  done
  ! pid_of connect >/dev/null || { curl -fsS -m 5 "$CONNECT_URL/connectors?expand=status" || rc=3; echo; }
  return $rc
}

# ---- connectors -----------------------------------------------------------------------------------------------------
json_of_properties() { # key=value lines, comments skipped, as one JSON object of strings; a later line wins
  local line value key out=''
  local -A values=()
  while IFS= read -r line || [[ -n $line ]]; do
    [[ -n $line && $line != \#* ]] || continue
    [[ $line == *=* ]] || die "not key=value: $line"
    values[${line%%=*}]=${line#*=}
  done
  for key in "${!values[@]}"; do
    value=${values[$key]//\\/\\\\}
    value=${value//\"/\\\"}
    out+="${out:+,}\"$key\":\"$value\""
  done
  printf '{%s}\n' "$out"
}
connector_in() { [[ $(curl -fs -m 5 "$CONNECT_URL/connectors/$1/status") == *'"connector":{"state":"'"$2"'"'* ]]; }
put_connector() { # NAME CONFIG: fails for a moment while Connect rebalances (409)
  local answer
  answer=$(curl -sS -m 30 -w '\n%{http_code}' -X PUT -H 'Content-Type: application/json' --data-binary "$2" \
    "$CONNECT_URL/connectors/$1/config")
  case ${answer##*$'\n'} in
    20?) ;;
    409) return 1 ;;
    *) die "connector $1 refused: $answer" ;;
  esac
}
streams() { # NAME SLOT: RUNNING only says that the task was started; the slot is active once the snapshot is done
  local status
  status=$(curl -fs -m 5 "$CONNECT_URL/connectors/$1/status") || return 1
  [[ $status != *'"state":"FAILED"'* ]] || die "connector $1 failed: $status"
  [[ $(psql_as "$PG_DATABASE" -Atc "select active from pg_replication_slots where slot_name = '$2'") == t ]]
}

cmd_connector_config() {
  local template=shop
  if [[ -n ${1:-} && $1 != *=* ]]; then template=$1; shift; fi
  [[ -f $HERE/connectors/$template.properties ]] || die "no connectors/$template.properties"
  { render "$HERE/connectors/$template.properties"; printf '%s\n' "$@"; } | json_of_properties
}
cmd_create_connector() {
  local name=cdc config slot
  if [[ ${1:-} == -n ]]; then name=$2; shift 2; fi
  config=$(cmd_connector_config "$@")
  slot=$(grep -o '"slot.name":"[^"]*"' <<<"$config" | cut -d'"' -f4)
  wait_for "connector $name to be accepted" "$READY_TIMEOUT_S" connect put_connector "$name" "$config"
  wait_for "connector $name to stream" "$READY_TIMEOUT_S" connect streams "$name" "$slot"
  say "connector $name streams from slot $slot"
}
cmd_stop_connector() { # all its records are in Kafka once it is STOPPED
  curl -fsS -m 30 -X PUT "$CONNECT_URL/connectors/${1:-cdc}/stop"
  wait_for "connector ${1:-cdc} to stop" "$READY_TIMEOUT_S" connect connector_in "${1:-cdc}" STOPPED
}
cmd_resume_connector() {
  curl -fsS -m 30 -X PUT "$CONNECT_URL/connectors/${1:-cdc}/resume"
  wait_for "connector ${1:-cdc} to run" "$READY_TIMEOUT_S" connect connector_in "${1:-cdc}" RUNNING
}
cmd_delete_connector() { curl -fsS -m 30 -X DELETE "$CONNECT_URL/connectors/${1:-cdc}"; }
cmd_connector_status() { curl -fsS -m 5 "$CONNECT_URL/connectors/${1:-cdc}/status"; echo; }

# ---- looking at it --------------------------------------------------------------------------------------------------
settled() { # LSN: every slot's reader has made what is before it durable
  # Debezium confirms a position once Kafka has acknowledged the events before it, but only while events come.
  psql_as "$PG_DATABASE" -qAtc "select pg_logical_emit_message(true, 'settle', '')"
  sleep 0.5
  [[ $(psql_as "$PG_DATABASE" -Atc "select coalesce(bool_and(confirmed_flush_lsn >= '$1'), false)
    from pg_replication_slots") == t ]]
}
cmd_settle() {
  local lsn
  lsn=$(psql_as "$PG_DATABASE" -Atc 'select pg_current_wal_insert_lsn()')
  wait_for "changes up to $lsn to reach Kafka" "${1:-60}" connect settled "$lsn"
}
tool() { java_kafka KafkaTool "127.0.0.1:$KAFKA_PORT" "$@"; }
cmd_psql() { psql_as "$PG_DATABASE" "$@"; }
cmd_topics() { tool topics; }
cmd_await() { tool await "$@"; }
cmd_capture() { tool capture "$@"; }
cmd_produce() { tool produce; }
cmd_kafka_tool() { java_kafka "$@"; }
cmd_env() {
  local v
  for v in STACK_HOME STACK_NAME PG_DATA PG_PORT KAFKA_PORT KAFKA_CONTROLLER_PORT CONNECT_PORT LS_PORT PG_DATABASE PG_USER; do
    printf 'export %s=%q\n' "$v" "${!v}"
  done
  printf 'export %s=%q\n' KAFKA_BOOTSTRAP_SERVERS "127.0.0.1:$KAFKA_PORT" TOPIC_PREFIX "$TOPIC_PREFIX.public." \
    SOURCE_DSN "postgres://$PG_USER:$PG_PASSWORD@127.0.0.1:$PG_PORT/$PG_DATABASE" CONNECT_URL "$CONNECT_URL" \
    S3_BUCKET "$S3_BUCKET" DLQ "s3://$S3_BUCKET/dlq" MARKER_TABLE public.cdc_marker
  aws env ls
}

case ${1:-} in
  install | up | down | kill | wipe | status | create-connector | connector-config | delete-connector | stop-connector | \
    resume-connector | connector-status | psql | settle | topics | await | capture | produce | kafka-tool | env)
    command=cmd_${1//-/_}
    shift
    "$command" "$@"
    ;;
  *)
    sed -n '2,/^set -/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" >&2
    [[ ${1:-} == help || ${1:-} == --help ]] || exit 2
    ;;
esac
