{
  description = "A highly available Kubernetes cluster";

  inputs = {
    nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";
    # Where this template is from.
    catamaran.url = "path:/path/to/catamaran";
    catamaran.inputs.nixpkgs.follows = "nixpkgs";
  };

  outputs =
    { nixpkgs, catamaran, ... }:
    {
      # nixos-rebuild switch --flake .#lb-a --target-host root@10.0.0.11
      nixosConfigurations = catamaran.lib.mkCluster {
        inherit nixpkgs;
        modules = [ ./common.nix ];
      } ./cluster.nix;

      # nix run .#cluster-secrets -- secrets
      inherit (catamaran) apps;
    };
}
