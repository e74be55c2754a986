# Applies the manifest of the network plugin; what is there already is left as it is.
#
#   network-plugin.sh MANIFEST
#
# The server merges, so that a large manifest fits and a second time changes nothing. As long as the
# cluster is not made this fails, and the unit tries again.
set -euo pipefail

kubeconfig=${KUBERNETES_DIRECTORY:-/etc/kubernetes}/admin.conf
if [[ ! -e $kubeconfig ]]; then
  echo "the cluster is not made yet: $kubeconfig is missing" >&2
  exit 1
fi
exec kubectl --kubeconfig "$kubeconfig" apply --server-side --force-conflicts --filename "$1"
