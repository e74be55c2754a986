{ config, lib, ... }:
let
  inherit (lib) mapAttrs mkIf;
  cfg = config.services.catamaran;
  plan = import ./load-plan.nix { inherit config lib; };

  found = import ./problems.nix {
    host = config.networking.hostName;
    inherit (cfg) node;
    inherit (plan) document conflicts needs;
    addresses = mapAttrs (
      _: interface: map (entry: entry.address) (interface.ipv4.addresses ++ interface.ipv6.addresses)
    ) config.networking.interfaces;
    reversePath =
      if config.networking.firewall.enable then config.networking.firewall.checkReversePath else false;
    keepalived =
      if config.services.keepalived.enable then
        mapAttrs (_: instance: instance.virtualRouterId) config.services.keepalived.vrrpInstances
      else
        { };
  };
in
{
  config = mkIf cfg.enable {
    assertions = map (message: {
      assertion = false;
      inherit message;
    }) found.problems;
    inherit (found) warnings;
  };
}
