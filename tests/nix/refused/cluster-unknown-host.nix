# A host that the description does not have.
{ modules }:
{
  lb-c = {
    imports = [ modules.cluster ];
    catamaran.cluster = import ../../../nixos-modules/examples/founding.nix // {
      host = "lb-c";
    };
  };
}
