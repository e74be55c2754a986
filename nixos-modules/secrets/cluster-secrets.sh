# Makes the secrets of a cluster, each in a file of its own, ready for agenix, sops or a copy by hand.
#
#   cluster-secrets DIRECTORY
#
# What is there already stays as it is, so that a second time changes nothing; to renew a secret, move it
# away first. Everything is readable by its owner only.
set -euo pipefail
umask 077

readonly days=3650

main() {
  [[ $# -eq 1 && $1 != -* ]] || usage
  mkdir -p "$1"
  cd "$1"
  authority kubernetes-ca kubernetes
  authority front-proxy-ca front-proxy-ca
  authority etcd-ca etcd-ca
  client etcd-client etcd-ca kube-apiserver-etcd-client
  service_account
  text bootstrap-token token
  text certificate-key hexadecimal 32
  text vrrp-password hexadecimal 4
  explain
}

usage() {
  echo "usage: cluster-secrets DIRECTORY" >&2
  exit 2
}

# A certificate authority: NAME.crt and NAME.key.
authority() {
  pair "$1" || return 0
  certificate "$1" "$2" "CA:TRUE" "keyUsage = critical, digitalSignature, keyEncipherment, keyCertSign
subjectAltName = DNS:$2"
}

# A client's certificate of an authority.
client() {
  pair "$1" || return 0
  certificate "$1" "$3" "CA:FALSE" "keyUsage = critical, digitalSignature, keyEncipherment
extendedKeyUsage = clientAuth
authorityKeyIdentifier = keyid" -CA "$2.crt" -CAkey "$2.key"
}

certificate() {
  openssl genrsa -out "$1.key.new" 2048
  openssl req -x509 -new -key "$1.key.new" -out "$1.crt.new" -days "$days" -sha256 -config /dev/stdin "${@:5}" <<END
[req]
prompt = no
distinguished_name = name
x509_extensions = extensions
[name]
CN = $2
[extensions]
basicConstraints = critical, $3
subjectKeyIdentifier = hash
$4
END
  keep "$1.key" "$1.crt"
}

# The key that signs the tokens of service accounts.
service_account() {
  local name=service-account
  both "$name.key" "$name.pub" || return 0
  openssl genrsa -out "$name.key.new" 2048
  openssl pkey -in "$name.key.new" -pubout -out "$name.pub.new"
  keep "$name.key" "$name.pub"
}

text() {
  if [[ -e $1 ]]; then
    echo "kept   $1"
    return
  fi
  "$2" "${@:3}" >"$1.new"
  keep "$1"
}

# As kubeadm has them: six characters that name it, and sixteen that are secret.
token() {
  printf '%s.%s\n' "$(hexadecimal 3)" "$(hexadecimal 8)"
}

hexadecimal() {
  openssl rand -hex "$1"
}

pair() {
  both "$1.key" "$1.crt"
}

# Whether both files are still to be made. One without the other is nothing we could go on from.
both() {
  if [[ -e $1 && -e $2 ]]; then
    echo "kept   $1 $2"
    return 1
  fi
  if [[ -e $1 || -e $2 ]]; then
    echo "only one of $1 and $2 is in $PWD: bring back the other, or move this one away too" >&2
    exit 1
  fi
}

# Gives new files their names, when all of them are whole.
keep() {
  local name
  for name in "$@"; do
    mv "$name.new" "$name"
  done
  echo "made   $*"
}

explain() {
  cat <<'END'

What goes where, under these names:
  first control plane       all but vrrp-password; of etcd-ca.key and etcd-client.{crt,key} only
                            etcd-ca.key with stacked etcd, only etcd-client.{crt,key} with external
  other control planes      kubernetes-ca.crt bootstrap-token certificate-key
  workers                   kubernetes-ca.crt bootstrap-token
  external etcd members     etcd-ca.crt etcd-ca.key
  load balancers            kubernetes-ca.crt, and vrrp-password with VRRP version 2
They must be there before a machine starts its units, readable by root. Keep a copy where you keep
secrets: who has kubernetes-ca.key is administrator of the cluster.
END
}

main "$@"
