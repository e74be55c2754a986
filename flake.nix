{
  description = "Catamaran: one virtual address in front of a pool of endpoints, kept answering while machines die";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";

  outputs =
    { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;
      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      eachSystem = outputs: lib.genAttrs systems (system: outputs nixpkgs.legacyPackages.${system});
      packages =
        pkgs:
        import ./nixos-modules/packages {
          inherit pkgs;
          revision = self.rev or null;
        };
    in
    {
      packages = eachSystem (
        pkgs:
        let
          all = packages pkgs;
        in
        all // { default = all.catamaran; }
      );

      overlays.default = import ./nixos-modules/packages/overlay.nix;

      nixosModules = import ./nixos-modules/all.nix;

      checks = eachSystem (
        pkgs:
        import ./tests/nix/checks.nix {
          inherit pkgs;
          root = self;
          packages = packages pkgs;
        }
      );

      devShells = eachSystem (pkgs: {
        default = import ./nixos-modules/packages/shell.nix { inherit pkgs; };
      });

      # For the whole tree: `nix fmt`.
      formatter = eachSystem (pkgs: pkgs.nixfmt-tree);
    };
}
