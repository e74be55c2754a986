# The drivers of the virtual networks of tests/vm, whichever way this nixpkgs makes them.
{ root, nixpkgs }:
let
  lib = import (nixpkgs + "/lib");
  # The old release cannot build the package, and has a way of its own.
  isOld = lib.versionOlder lib.version "21";
  pkgs = import nixpkgs {
    system = "x86_64-linux";
    overlays = lib.optional isOld (import ./old-packages.nix);
  };
  machine = node: {
    imports = [
      node
      ./old-release.nix
    ];
  };
  old = import (nixpkgs + "/nixos/lib/testing-python.nix") { system = "x86_64-linux"; };
  run =
    test:
    if isOld then
      old.makeTest (test // { nodes = lib.mapAttrs (_: machine) test.nodes; })
    else
      pkgs.testers.runNixOSTest test;
  networks = import (root + "/tests/vm") {
    inherit pkgs run;
    modules = import (root + "/nixos-modules/all.nix");
  };
  driver = test: builtins.unsafeDiscardStringContext test.driver.drvPath;
in
lib.mapAttrs (_: driver) (networks.checks // networks.heavy)
