# The outputs of the flake with a nixpkgs from a folder, as far as this nixpkgs can evaluate them.
{ root, nixpkgs }:
let
  inherit (builtins) attrNames mapAttrs unsafeDiscardStringContext;
  packagesOf = system: import nixpkgs { inherit system; };
  flake = {
    outPath = nixpkgs;
    lib = import (nixpkgs + "/lib");
    legacyPackages = {
      x86_64-linux = packagesOf "x86_64-linux";
      aarch64-linux = packagesOf "aarch64-linux";
    };
  };
  outputs = (import (root + "/flake.nix")).outputs {
    self = outputs // {
      outPath = toString root;
    };
    nixpkgs = flake;
  };

  # Rust packages out of a Cargo.lock are younger than the old release.
  isOld = flake.lib.versionOlder flake.lib.version "21";
  drv = derivation: unsafeDiscardStringContext derivation.drvPath;
in
{
  names = mapAttrs (_: attrNames) {
    inherit (outputs)
      apps
      checks
      devShells
      formatter
      lib
      nixosConfigurations
      nixosModules
      overlays
      packages
      templates
      ;
  };
  perSystem = mapAttrs (_: attrNames) outputs.packages;
  checks = mapAttrs (_: attrNames) outputs.checks;
  heavy = mapAttrs (_: attrNames) outputs.legacyPackages;
  derivations =
    if isOld then
      { }
    else
      {
        packages = mapAttrs (_: mapAttrs (_: drv)) outputs.packages;
        checks = mapAttrs (_: mapAttrs (_: drv)) outputs.checks;
        shells = mapAttrs (_: shells: drv shells.default) outputs.devShells;
        formatter = mapAttrs (_: drv) outputs.formatter;
        apps = mapAttrs (_: apps: unsafeDiscardStringContext apps.cluster-secrets.program) outputs.apps;
      };
}
