# Without flakes:
#
#     nix-build -A catamaran
#     imports = [ (import ./catamaran { }).nixosModules.default ];
#
# nixpkgs is the one of flake.lock, unless another one is given.
{
  nixpkgs ?
    let
      inherit ((builtins.fromJSON (builtins.readFile ./flake.lock)).nodes.nixpkgs) locked;
    in
    fetchTarball {
      url = "https://github.com/${locked.owner}/${locked.repo}/archive/${locked.rev}.tar.gz";
      sha256 = locked.narHash;
    },
  system ? builtins.currentSystem,
  pkgs ? import nixpkgs { inherit system; },
}:
import ./nixos-modules/packages { inherit pkgs; }
// {
  nixosModules = import ./nixos-modules/all.nix;
  lib.mkCluster = import ./nixos-modules/lib/mk-cluster.nix;
  overlays.default = import ./nixos-modules/packages/overlay.nix;
}
