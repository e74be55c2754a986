# `catamaran.firewall.rules`: ports that are open to the machines that need them, with whichever firewall
# the host has.
{ config, lib, ... }:
let
  inherit (lib)
    mkIf
    mkMerge
    mkOption
    types
    ;
  rules = import ./rules.nix config.catamaran.firewall.rules;
  firewall = config.networking.firewall;
  backend =
    firewall.backend or (if config.networking.nftables.enable then "nftables" else "iptables");
in
{
  options.catamaran.firewall.rules = mkOption {
    type = types.listOf (
      types.submodule {
        options = {
          protocol = mkOption {
            type = types.enum [
              "tcp"
              "udp"
            ];
            default = "tcp";
            description = "Transport protocol.";
          };
          ports = mkOption {
            type = types.listOf types.port;
            example = [ 10250 ];
            description = "Destination ports, 1 to 65535.";
          };
          from = mkOption {
            type = types.listOf types.str;
            default = [ ];
            example = [
              "211.183.3.100"
              "10.244.0.0/16"
            ];
            description = "Addresses and networks that may come in; an empty list lets everybody in.";
          };
        };
      }
    );
    default = [ ];
    description = "Ports that are opened, and for whom.";
  };

  config.networking.firewall = mkMerge [
    {
      allowedTCPPorts = rules.open "tcp";
      allowedUDPPorts = rules.open "udp";
    }
    # The firewall's own chain is made anew each time, and these rules with it.
    (mkIf (backend == "iptables") { extraCommands = rules.iptables; })
    (mkIf (backend == "nftables") { extraInputRules = rules.nftables; })
  ];
}
