{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mapAttrsToList mkIf;
  kubernetes = config.catamaran.kubernetes;
  cfg = kubernetes.controlPlane;
  kubeadm = import ../lib/kubeadm.nix;

  bash = "${pkgs.bash}/bin/bash";
  initTemplate = "${pkgs.writeText "kubeadm-init.yaml" (kubeadm.toText cfg.init)}";
  certificateKey = "certificate-key:${cfg.secrets.certificateKey}";
  # bootstrap.sh reads `_` as `/`.
  pki = mapAttrsToList (
    place: path: "pki_${builtins.replaceStrings [ "/" ] [ "_" ] place}:${path}"
  ) cfg.secrets.pki;
in
{
  config = mkIf cfg.enable {
    catamaran.kubernetes.role = "control-plane";

    systemd.services.catamaran-kubeadm = {
      environment = mkIf cfg.initialise {
        INIT_TEMPLATE = initTemplate;
        OTHER_APISERVERS = toString cfg.otherApiservers;
      };
      serviceConfig = {
        ExecStart = mkIf cfg.initialise "${bash} ${../kubernetes/bootstrap.sh} init";
        LoadCredential = [ certificateKey ] ++ lib.optionals cfg.initialise pki;
      };
    };

    # By hand, before a machine joins that comes late: `systemctl start catamaran-invite`.
    systemd.services.catamaran-invite = {
      description = "Bootstrap token and certificates for machines that join";
      after = [ "catamaran-kubeadm.service" ];
      path = [ kubernetes.package ] ++ import ../kubernetes/tools.nix pkgs;
      environment = {
        ENDPOINT = kubernetes.endpoint;
        INIT_TEMPLATE = initTemplate;
      };
      serviceConfig = {
        Type = "oneshot";
        ExecStart = "${bash} ${../kubernetes/bootstrap.sh} invite";
        LoadCredential = [
          "ca.crt:${kubernetes.secrets.caCertificate}"
          "bootstrap-token:${kubernetes.secrets.bootstrapToken}"
          certificateKey
        ];
        StateDirectory = "catamaran-kubernetes";
        RuntimeDirectory = "catamaran-invite";
        RuntimeDirectoryMode = "0700";
        UMask = "0077";
      };
    };

    systemd.services.catamaran-network-plugin = mkIf (cfg.initialise && cfg.networkPlugin != null) {
      description = "Network plugin of the Kubernetes cluster";
      wantedBy = [ "multi-user.target" ];
      after = [ "catamaran-kubeadm.service" ];
      path = [ kubernetes.package ];
      # kubectl keeps what it learnt of the apiserver there.
      environment.HOME = "/root";
      unitConfig.StartLimitIntervalSec = 0;
      serviceConfig = {
        Type = "oneshot";
        RemainAfterExit = true;
        ExecStart = "${bash} ${../kubernetes/network-plugin.sh} ${cfg.networkPlugin}";
        Restart = "on-failure";
        RestartSec = "30s";
      };
    };
  };
}
