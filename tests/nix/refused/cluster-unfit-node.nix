# A node with swap, and a node whose packages are of another release than its cluster.
{ modules }:
let
  founding = import ../../../nixos-modules/examples/founding.nix;
in
{
  worker = {
    imports = [ modules.cluster ];
    catamaran.cluster = founding // {
      host = "worker";
      kubernetes.version = "1.33.1";
    };
    swapDevices = [ { device = "/dev/sdb1"; } ];
  };
}
