# The driver of a virtual network of tests/vm, whichever way this nixpkgs makes it.
{
  root,
  nixpkgs,
  name,
}:
let
  pkgs = import nixpkgs { system = "x86_64-linux"; };
  inherit (pkgs) lib;
  test = import (root + "/tests/vm/${name}.nix") {
    modules = import (root + "/nixos-modules/all.nix");
  };
  # The old release cannot build the package, and has a way of its own.
  isOld = lib.versionOlder lib.version "21";
  machine = node: { imports = [ node ./old-release.nix ]; };
  old = import (nixpkgs + "/nixos/lib/testing-python.nix") { system = "x86_64-linux"; };
  made =
    if isOld then
      old.makeTest (test // { inherit name; nodes = lib.mapAttrs (_: machine) test.nodes; })
    else
      pkgs.testers.runNixOSTest (test // { inherit name; });
in
builtins.unsafeDiscardStringContext made.driver.drvPath
