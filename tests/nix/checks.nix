# `nix flake check`: all packages, the formatting, and a virtual network for each file of tests/vm.
# What needs no Nix to build is in `cargo test`.
{
  pkgs,
  root,
  packages,
}:
let
  inherit (pkgs) lib;
  modules = import (root + "/nixos-modules/all.nix");

  # One package for all machines.
  inherit (pkgs.extend (_: _: { inherit (packages) catamaran; })) testers;
  vms = lib.mapAttrs' (
    file: _:
    let
      name = lib.removeSuffix ".nix" file;
      test = import (../vm + "/${file}") { inherit modules; };
    in
    lib.nameValuePair "vm-${name}" (testers.runNixOSTest (test // { inherit name; }))
  ) (builtins.readDir ../vm);

  formatting =
    pkgs.runCommand "catamaran-formatting" { nativeBuildInputs = [ pkgs.nixfmt ]; } ''
      find ${root} -name '*.nix' -exec nixfmt --check {} +
      touch "$out"
    '';
in
packages // vms // { inherit formatting; }
