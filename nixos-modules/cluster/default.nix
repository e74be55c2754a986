# `catamaran.cluster`: the description of a whole cluster, and which of its machines this host is. What
# the host has to be follows from it; ../lib derives, this hands on.
{
  imports = [
    ../load-balancer
    ../control-plane
    ../worker
    ../etcd
    ./options.nix
    ./host.nix
  ];
}
