# What the host's kernel has to do differently; forwarding in `proxy` wants nothing of it.
{ config, lib, ... }:
let
  inherit (lib)
    listToAttrs
    mkDefault
    mkIf
    nameValuePair
    ;
  cfg = config.services.catamaran;
  inherit (import ./load-plan.nix { inherit config lib; }) needs;

  # In sysctl's names, dots of an interface's name are slashes.
  settingOf =
    name: interface: "net.ipv4.conf.${builtins.replaceStrings [ "." ] [ "/" ] interface}.${name}";
  onEach =
    name: value:
    listToAttrs (
      map (interface: nameValuePair (settingOf name interface) value) needs.virtualMacOnIPv4
    );
in
{
  config = mkIf (cfg.enable && needs.virtualMacOn != [ ]) {
    boot.kernelModules = [ "macvlan" ];
    # The interface below would answer for the virtual addresses, with its own MAC.
    boot.kernel.sysctl = onEach "arp_ignore" 1 // onEach "arp_announce" 2;
    # Packets come in on the macvlan interface, answers go out on the one below.
    networking.firewall.checkReversePath = mkDefault "loose";
  };
}
