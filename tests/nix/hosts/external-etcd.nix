# Every machine of the example.
{ modules }:
import ../cluster-hosts.nix { inherit modules; } ../../../nixos-modules/examples/external-etcd.nix
