# A wrong description is refused before any host is evaluated.
{ modules }:
(import ../../../nixos-modules/lib).mkCluster
  { nixpkgs = throw "nothing of nixpkgs is needed to see it"; }
  {
    virtualAdress = "211.183.3.250/24";
  }
