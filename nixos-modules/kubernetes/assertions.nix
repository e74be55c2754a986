{ config, lib, ... }:
let
  inherit (lib) mkIf versions;
  cfg = config.catamaran.kubernetes;
  host = config.networking.hostName;
  swap = map (device: device.device or device.label) config.swapDevices;
in
{
  config = mkIf (cfg.role != null) {
    assertions = [
      {
        assertion = versions.majorMinor cfg.package.version == versions.majorMinor cfg.version;
        message = "${host}: catamaran.kubernetes.version is ${cfg.version}, and catamaran.kubernetes.package has ${cfg.package.version}; write version = \"${cfg.package.version}\", or choose a package of ${versions.majorMinor cfg.version}";
      }
      {
        assertion = cfg.allowSwap || (swap == [ ] && !config.zramSwap.enable);
        message = "${host}: ${
          if swap == [ ] then "zramSwap.enable is true" else "swapDevices has ${toString swap}"
        }, and the kubelet does not start on a host with swap; remove it, or set catamaran.kubernetes.allowSwap and the kubelet's failSwapOn = false";
      }
    ];
  };
}
