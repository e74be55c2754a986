{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.catamaran.kubernetes;
in
{
  config = lib.mkIf (cfg.role != null) {
    boot.kernelModules = [
      "br_netfilter"
      "overlay"
    ];
    boot.kernel.sysctl = {
      "net.bridge.bridge-nf-call-iptables" = 1;
      "net.bridge.bridge-nf-call-ip6tables" = 1;
      "net.ipv4.ip_forward" = 1;
    }
    // lib.optionalAttrs cfg.ipv6 {
      "net.ipv6.conf.all.forwarding" = 1;
      "net.ipv6.conf.default.forwarding" = 1;
    };

    # Answers to pods leave by another interface than the one that questions came in by.
    networking.firewall.checkReversePath = lib.mkDefault "loose";

    environment.systemPackages = [
      cfg.package
      cfg.criTools
    ];
    environment.etc."crictl.yaml".text = ''
      runtime-endpoint: unix:///run/containerd/containerd.sock
    '';

    # Network plugins add theirs, so that these are links in a directory and not a directory in the store.
    systemd.services.catamaran-cni-plugins = {
      description = "Links to the standard CNI plugins";
      wantedBy = [ "multi-user.target" ];
      before = [ "containerd.service" ];
      serviceConfig = {
        Type = "oneshot";
        RemainAfterExit = true;
      };
      script = ''
        mkdir -p /opt/cni/bin /etc/cni/net.d
        ln --symbolic --force --no-dereference ${cfg.cniPlugins}/bin/* /opt/cni/bin/
      '';
    };

    # The manifests of static pods are looked for there before kubeadm writes any.
    systemd.tmpfiles.rules = [ "d /etc/kubernetes/manifests 0755 root root -" ];
  };
}
