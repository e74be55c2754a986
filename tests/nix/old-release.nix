# What the modules need of nixpkgs and a release of 2020 has not, so that the modules can be evaluated
# where only such a tree is at hand. Nothing of it is of use on a machine.
{ lib, ... }:
let
  isOld = lib.versionOlder lib.version "21";
in
{
  options = lib.optionalAttrs isOld {
    virtualisation.containerd = {
      enable = lib.mkOption { type = lib.types.bool; };
      settings = lib.mkOption { type = lib.types.attrs; };
    };
    networking.firewall.extraInputRules = lib.mkOption {
      type = lib.types.lines;
      default = "";
    };
  };

  config = lib.mkMerge [
    {
      # What a machine has besides.
      fileSystems."/".device = "/dev/disk/by-label/root";
      boot.loader.grub.enable = false;
      system.stateVersion = lib.mkDefault (lib.versions.majorMinor lib.version);
    }
    (lib.mkIf isOld {
      nixpkgs.overlays = [
        (final: previous: {
          iproute2 = previous.iproute;
          util-linux = previous.utillinux;
          kubernetes = previous.kubernetes // {
            version = "1.35.0";
          };
        })
      ];
    })
  ];
}
