# The virtual networks: each file here is one, a test as nixpkgs' own are, under
# its own name. In `heavy` are those that no ordinary check waits for.
#
#   nix build .#checks.x86_64-linux.vm-failover
{
  pkgs,
  modules,
  # What each network's nodes and the test as a whole become.
  run,
}:
let
  inherit (pkgs) lib;

  pairIn = network: import ./support/pair.nix { inherit lib modules network; };
  pair = pairIn "192.0.2";

  ofFolder =
    folder:
    let
      isNetwork = file: kind: kind == "regular" && file != "default.nix" && lib.hasSuffix ".nix" file;
      files = lib.attrNames (lib.filterAttrs isNetwork (builtins.readDir folder));
      network =
        file:
        let
          name = lib.removeSuffix ".nix" file;
          test = import (folder + "/${file}") {
            inherit
              lib
              modules
              pair
              pairIn
              pkgs
              ;
          };
        in
        lib.nameValuePair "vm-${name}" (run (test // { name = "catamaran-${name}"; }));
    in
    lib.listToAttrs (map network files);
in
{
  checks = ofFolder ./.;
  heavy = ofFolder ./heavy;
}
