# A description that is wrong in several ways, on a host that it names.
{ modules }:
let
  founding = import ../../../nixos-modules/examples/founding.nix;
in
{
  lb-b = {
    imports = [ modules.cluster ];
    catamaran.cluster = founding // {
      host = "lb-b";
      virtualRouter.vrid = 256;
      machines = removeAttrs founding.machines [ "master3" ] // {
        lb-b = founding.machines.lb-b // {
          address = "211.183.3.251";
        };
      };
    };
  };
}
