{ config, lib, ... }:
let
  inherit (lib) mkIf mkMerge;
  cfg = config.services.catamaran;
  plan = import ./load-plan.nix { inherit config lib; };
  firewall = config.networking.firewall;

  backend =
    firewall.backend or (if config.networking.nftables.enable then "nftables" else "iptables");
  # Without IPv6 its firewall is not there either.
  isThere = peer: peer.family == "ipv4" || config.networking.enableIPv6;
  rules = import ./firewall-rules.nix (builtins.filter isThere plan.needs.peers);
in
{
  config = mkIf cfg.enable (mkMerge [
    (mkIf cfg.openFirewall.listeners { networking.firewall.allowedTCPPorts = plan.needs.ports; })
    # The firewall's own chain goes with it when it stops, and these rules with the chain.
    (mkIf (cfg.openFirewall.virtualRouters && backend == "iptables") {
      networking.firewall.extraCommands = rules.iptables;
    })
    (mkIf (cfg.openFirewall.virtualRouters && backend == "nftables") {
      networking.firewall.extraInputRules = rules.nftables;
    })
  ]);
}
