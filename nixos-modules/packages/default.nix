# The packages, with any nixpkgs that has Rust as new as Cargo.toml wants.
{
  pkgs,
  revision ? null,
}:
let
  catamaran = pkgs.pkgsStatic.callPackage ./catamaran.nix { inherit revision; };
  image = name: pkgs.callPackage ./image.nix { inherit catamaran name; };
in
{
  inherit catamaran;
  plugins = pkgs.callPackage ./plugins.nix { inherit catamaran; };
  image-load-balancer = image "load-balancer";
  image-plugins = image "plugins";
  cluster-secrets = pkgs.callPackage ./cluster-secrets.nix { };
}
