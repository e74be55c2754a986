# What the modules need of nixpkgs and a release of 2020 has not, so that the modules can be evaluated
# where only such a tree is at hand. Nothing of it is of use on a machine.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  isOld = lib.versionOlder lib.version "21";
in
{
  options = lib.optionalAttrs isOld {
    virtualisation.containerd = {
      enable = mkOption { type = types.bool; };
      settings = mkOption { type = types.attrs; };
    };
    services.keepalived.openFirewall = mkOption { type = types.bool; };
    networking.firewall.extraInputRules = mkOption {
      type = types.lines;
      default = "";
    };
    systemd.services = mkOption {
      type = types.attrsOf (
        types.submodule {
          options.reloadTriggers = mkOption {
            type = types.listOf types.unspecified;
            default = [ ];
          };
        }
      );
    };
  };

  config = lib.mkMerge [
    {
      # What a machine has besides.
      fileSystems."/".device = "/dev/disk/by-label/root";
      boot.loader.grub.enable = false;
      system.stateVersion = lib.mkDefault (lib.versions.majorMinor lib.version);
    }
    # Its firewall knows no nftables, and refuses to be beside it.
    (lib.mkIf (isOld && config.networking.nftables.enable) {
      networking.firewall.enable = lib.mkForce false;
      networking.nftables.ruleset = "";
    })
    (lib.mkIf isOld {
      nixpkgs.overlays = [ (import ./old-packages.nix) ];
    })
  ];
}
