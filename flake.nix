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

      # What a machine has besides its part in the cluster: yours have it already.
      machine = {
        boot.loader.grub.device = lib.mkDefault "/dev/sda";
        fileSystems."/".device = "/dev/disk/by-label/nixos";
        system.stateVersion = "26.05";
      };

      packages =
        pkgs:
        import ./nixos-modules/packages {
          inherit pkgs;
          revision = self.rev or null;
        };
      tests =
        pkgs:
        import ./tests/nix/checks.nix {
          inherit pkgs;
          root = self;
          packages = packages pkgs;
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

      # One NixOS configuration for each machine of a description.
      lib.mkCluster = import ./nixos-modules/lib/mk-cluster.nix;

      # The founding case: lb-a, lb-b, master1, master2, master3, worker.
      nixosConfigurations = self.lib.mkCluster {
        inherit nixpkgs;
        modules = [ machine ];
      } ./nixos-modules/examples/founding.nix;

      # nix flake init --template path:…#cluster
      templates.cluster = {
        path = ./nixos-modules/template;
        description = "A highly available Kubernetes cluster: one description, all its machines";
      };

      apps = eachSystem (pkgs: {
        cluster-secrets = {
          type = "app";
          program = lib.getExe (packages pkgs).cluster-secrets;
          meta.description = "Make the secrets of a cluster, each in a file of its own";
        };
      });

      checks = eachSystem (pkgs: (tests pkgs).checks);

      # More machines and more minutes than a check should take: nix build .#vm-kubeadm
      legacyPackages = eachSystem (pkgs: (tests pkgs).heavy);

      devShells = eachSystem (pkgs: {
        default = import ./nixos-modules/packages/shell.nix { inherit pkgs; };
      });

      # For the whole tree: `nix fmt`.
      formatter = eachSystem (pkgs: pkgs.nixfmt-tree);
    };
}
