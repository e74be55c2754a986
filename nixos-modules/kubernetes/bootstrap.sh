# Makes this machine a member of its cluster, once, and finishes what was interrupted.
#
#   bootstrap.sh init     the first control plane: `kubeadm init`, or join if the cluster is there already
#   bootstrap.sh join     everybody else: wait for the cluster, then `kubeadm join`
#   bootstrap.sh invite   on a control plane: let machines join again for a while
#
# Whether there is something to do is the unit's condition; here it is done. Secrets come from
# $CREDENTIALS_DIRECTORY and never into an argument, where everybody could read them:
#   ca.crt  bootstrap-token  certificate-key  pki_PLACE (a file of /etc/kubernetes/pki, `_` for `/`)
#
# When kubeadm has found the machine fit, how it goes on is written into $STATE_DIRECTORY/begun, and
# removed when kubeadm is through. A machine that was switched off in between finds it there:
#   init   is gone on with. kubeadm's steps are idempotent, and a reset would lose what etcd has.
#   join   is taken back with `kubeadm reset`, which also takes back an etcd member, and done again.
# A machine that was not fit, having some other cluster's data, is as it was.
set -euo pipefail
umask 077

: "${ENDPOINT:?the URL of the cluster, https://ADDRESS:PORT}"
: "${CREDENTIALS_DIRECTORY:?}" "${STATE_DIRECTORY:?}" "${RUNTIME_DIRECTORY:?}"
OTHER_APISERVERS=${OTHER_APISERVERS:-}
KUBERNETES_DIRECTORY=${KUBERNETES_DIRECTORY:-/etc/kubernetes}
WAIT_SECONDS=${WAIT_SECONDS:-600}
LOOK_SECONDS=${LOOK_SECONDS:-30}
POLL_SECONDS=${POLL_SECONDS:-3}

ca=$CREDENTIALS_DIRECTORY/ca.crt
begun=$STATE_DIRECTORY/begun
own_apiserver=$KUBERNETES_DIRECTORY/manifests/kube-apiserver.yaml

main() {
  case ${1:-} in
    init) initialise ;;
    join) join ;;
    invite) invite ;;
    *) fail "usage: bootstrap.sh init | join | invite" ;;
  esac
}

initialise() {
  if [[ $(began) == join ]]; then
    join
    return
  elif [[ $(began) == init && -e $own_apiserver ]]; then
    say "kubeadm init was interrupted here; going on with it"
  elif cluster_exists; then
    say "the cluster at $ENDPOINT exists already; joining it"
    join
    return
  fi
  say "making the cluster $ENDPOINT"
  place_certificates
  render "$INIT_TEMPLATE" "$RUNTIME_DIRECTORY/init.yaml"
  [[ $(began) == init ]] || kubeadm init phase preflight --config "$RUNTIME_DIRECTORY/init.yaml"
  echo init >"$begun"
  kubeadm init --config "$RUNTIME_DIRECTORY/init.yaml" --skip-phases preflight --upload-certs \
    --skip-token-print --skip-certificate-key-print
  rm "$begun"
  say "the cluster is made; the other machines can join"
}

join() {
  wait_for_cluster
  if [[ -n $(began) ]]; then
    say "an earlier attempt was interrupted here; taking it back first"
    kubeadm reset --force
    rm "$begun"
  fi
  write_discovery "$RUNTIME_DIRECTORY/discovery.conf"
  render "$JOIN_TEMPLATE" "$RUNTIME_DIRECTORY/join.yaml"
  kubeadm join phase preflight --config "$RUNTIME_DIRECTORY/join.yaml"
  echo join >"$begun"
  kubeadm join --config "$RUNTIME_DIRECTORY/join.yaml" --skip-phases preflight
  rm "$begun"
  say "this machine is a member of $ENDPOINT"
}

# The token and the uploaded certificates are good for a while only.
invite() {
  [[ -e $KUBERNETES_DIRECTORY/admin.conf ]] || fail "this machine is no control plane yet: $KUBERNETES_DIRECTORY/admin.conf is missing"
  render "$INIT_TEMPLATE" "$RUNTIME_DIRECTORY/init.yaml"
  kubeadm init phase upload-certs --upload-certs --skip-certificate-key-print --config "$RUNTIME_DIRECTORY/init.yaml"
  kubeadm init phase bootstrap-token --skip-token-print --config "$RUNTIME_DIRECTORY/init.yaml"
  say "machines can join again"
}

began() {
  [[ ! -e $begun ]] || cat "$begun"
}

# Whether any apiserver with a certificate of our CA answers, whatever it says. A machine that was put up
# anew must not make a second cluster because it was quicker than the load balancers.
cluster_exists() {
  local deadline=$((SECONDS + LOOK_SECONDS)) url
  say "looking for ${LOOK_SECONDS} s whether the cluster exists"
  while true; do
    for url in "$ENDPOINT" $OTHER_APISERVERS; do
      [[ $(status_of "$url/version") == 000 ]] || return 0
    done
    ((SECONDS < deadline)) || return 1
    sleep "$POLL_SECONDS"
  done
}

# `cluster-info` is the last thing that `kubeadm init` writes before machines may join. Who does not let
# strangers read it answers 401 or 403.
wait_for_cluster() {
  local deadline=$((SECONDS + WAIT_SECONDS)) next=$SECONDS status
  while true; do
    status=$(status_of "$ENDPOINT/api/v1/namespaces/kube-public/configmaps/cluster-info")
    case $status in 200 | 401 | 403) return ;; esac
    if ((SECONDS >= deadline)); then
      fail "waited ${WAIT_SECONDS} s for the cluster at $ENDPOINT: $(explain "$status"). The unit tries again by itself"
    fi
    if ((SECONDS >= next)); then
      say "waiting for the cluster at $ENDPOINT, $((deadline - SECONDS)) s more: $(explain "$status")"
      next=$((SECONDS + 30))
    fi
    sleep "$POLL_SECONDS"
  done
}

explain() {
  case $1 in
    000) echo "nobody answers there with a certificate of the cluster's CA; is the virtual address held (catamaran status), and has the first control plane been through kubeadm init?" ;;
    404) echo "its apiserver answers, but kubeadm init is not through" ;;
    *) echo "its apiserver answers with status $1" ;;
  esac
}

# The HTTP status, or 000.
status_of() {
  curl --silent --output /dev/null --write-out '%{http_code}' --max-time 5 --noproxy '*' --cacert "$ca" "$1" || true
}

place_certificates() {
  local file place mode
  for file in "$CREDENTIALS_DIRECTORY"/pki_*; do
    place=${file##*/pki_}
    place=$KUBERNETES_DIRECTORY/pki/${place//_//}
    mode=600
    [[ $place == *.key ]] || mode=644
    mkdir -p "${place%/*}"
    install --mode="$mode" "$file" "$place"
  done
}

# kubeadm reads the authority out of a kubeconfig file, so that nobody has to hash it.
write_discovery() {
  cat >"$1" <<END
apiVersion: v1
kind: Config
clusters:
- name: ""
  cluster:
    server: $ENDPOINT
    certificate-authority-data: $(base64 --wrap=0 "$ca")
contexts: []
current-context: ""
users: []
END
}

# Secrets are put in after their form was checked, so that nothing in them can mean something else.
render() {
  local text token key
  text=$(<"$1")
  token=$(secret bootstrap-token '[a-z0-9]{6}\.[a-z0-9]{16}' "six small letters or digits, a dot, and sixteen more")
  text=${text//@bootstrap-token@/$token}
  if [[ $text == *@certificate-key@* ]]; then
    key=$(secret certificate-key '[0-9a-f]{64}' "64 hexadecimal digits")
    text=${text//@certificate-key@/$key}
  fi
  printf '%s\n' "$text" >"$2"
}

secret() {
  local value
  [[ -r $CREDENTIALS_DIRECTORY/$1 ]] || fail "the secret $1 is missing"
  value=$(<"$CREDENTIALS_DIRECTORY/$1")
  [[ $value =~ ^$2$ ]] || fail "the secret $1 is not $3; cluster-secrets makes one"
  printf '%s' "$value"
}

say() {
  printf '%s\n' "$*"
}

# The journal shows a line that begins so as an error.
fail() {
  printf '<3>%s\n' "$*" >&2
  exit 1
}

main "$@"
