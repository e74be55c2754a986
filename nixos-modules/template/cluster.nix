# The whole cluster. Every key: nixos-modules/options.md of Catamaran, below `catamaran.cluster`.
{
  virtualAddress = "10.0.0.10/24";
  interface = "eno1";
  virtualRouter.vrid = 51;

  networks = {
    gateway = "10.0.0.1";
    nameservers = [ "10.0.0.1" ];
    pods = [ "10.244.0.0/16" ];
    services = [ "10.96.0.0/12" ];
  };

  # The minor version must be that of `pkgs.kubernetes`.
  kubernetes.version = "1.36.0";
  # kubernetes.networkPlugin = ./network-plugin.yaml;

  # Made by cluster-secrets, and brought to the machines by agenix, sops-nix, or by hand.
  secrets.directory = "/run/secrets";

  machines = {
    lb-a = {
      address = "10.0.0.11";
      roles = [ "load-balancer" ];
      # Modules of this machine alone.
      modules = [ ];
    };
    lb-b = {
      address = "10.0.0.12";
      roles = [ "load-balancer" ];
    };
    control1 = {
      address = "10.0.0.21";
      roles = [ "control-plane" ];
    };
    control2 = {
      address = "10.0.0.22";
      roles = [ "control-plane" ];
    };
    control3 = {
      address = "10.0.0.23";
      roles = [ "control-plane" ];
    };
    worker1 = {
      address = "10.0.0.31";
      roles = [ "worker" ];
    };
  };
}
