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
  networks = import (root + "/tests/vm") {
    inherit pkgs modules;
    run = testers.runNixOSTest;
  };

  formatting = pkgs.runCommand "catamaran-formatting" { nativeBuildInputs = [ pkgs.nixfmt ]; } ''
    find ${root} -name '*.nix' -exec nixfmt --check {} +
    touch "$out"
  '';
in
{
  checks = packages // networks.checks // { inherit formatting; };
  # More machines and more minutes than a check should take.
  inherit (networks) heavy;
}
