# The unit that makes this machine a member of its cluster.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkIf;
  cfg = config.catamaran.kubernetes;
  kubeadm = import ../lib/kubeadm.nix;
in
{
  config = mkIf (cfg.role != null) {
    systemd.services.catamaran-kubeadm = {
      description = "Membership in the Kubernetes cluster ${cfg.endpoint}";
      wantedBy = [ "multi-user.target" ];
      wants = [
        "network-online.target"
        "containerd.service"
      ];
      after = [
        "network-online.target"
        "containerd.service"
        "catamaran-cni-plugins.service"
        # The virtual address may be this machine's.
        "catamaran.service"
      ];
      path = [
        cfg.package
        pkgs.curl
      ]
      ++ import ./tools.nix pkgs;

      # A member, unless it was interrupted on the way. `kubeadm reset` removes the first of these.
      unitConfig = {
        ConditionPathExists = [
          "|!/etc/kubernetes/kubelet.conf"
          "|/var/lib/catamaran-kubernetes/begun"
        ];
        StartLimitIntervalSec = 0;
      };
      environment = {
        ENDPOINT = cfg.endpoint;
        JOIN_TEMPLATE = "${pkgs.writeText "kubeadm-join.yaml" (kubeadm.toText cfg.join)}";
        WAIT_SECONDS = toString cfg.waitSeconds;
      };
      serviceConfig = {
        Type = "oneshot";
        RemainAfterExit = true;
        # How it joins; a control plane that makes the cluster has another word.
        ExecStart = lib.mkDefault "${pkgs.bash}/bin/bash ${./bootstrap.sh} join";
        LoadCredential = [
          "ca.crt:${cfg.secrets.caCertificate}"
          "bootstrap-token:${cfg.secrets.bootstrapToken}"
        ];
        StateDirectory = "catamaran-kubernetes";
        RuntimeDirectory = "catamaran-kubernetes";
        RuntimeDirectoryMode = "0700";
        UMask = "0077";
        Restart = "on-failure";
        RestartSec = "30s";
        # Waiting has its own end, and kubeadm its own time-outs.
        TimeoutStartSec = "infinity";
      };
      # Another description does not change what a member is.
      restartIfChanged = false;
    };
  };
}
