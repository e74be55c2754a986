{ config, lib, ... }:
let
  cfg = config.catamaran.kubernetes;
in
{
  config = lib.mkIf (cfg.role != null) {
    virtualisation.containerd = {
      enable = true;
      settings = {
        # containerd 2. Plugins have other names in version 2 of the configuration, which some releases
        # of the module still write.
        version = lib.mkForce 3;
        plugins."io.containerd.cri.v1.images".pinned_images.sandbox = cfg.pauseImage;
        plugins."io.containerd.cri.v1.runtime" = {
          containerd.runtimes.runc = {
            runtime_type = "io.containerd.runc.v2";
            options.SystemdCgroup = true;
          };
          # Where network plugins put their programs and their configuration.
          cni = {
            bin_dir = "/opt/cni/bin";
            conf_dir = "/etc/cni/net.d";
          };
        };
      };
    };
  };
}
