# The kubelet as kubeadm's own packages have it: kubeadm writes its configuration and its flags, and
# starts it.
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
    systemd.services.kubelet = {
      description = "kubelet: the Kubernetes node agent";
      documentation = [ "https://kubernetes.io/docs/reference/command-line-tools-reference/kubelet/" ];
      wantedBy = [ "multi-user.target" ];
      wants = [
        "network-online.target"
        "containerd.service"
      ];
      after = [
        "network-online.target"
        "containerd.service"
      ];
      path = import ./tools.nix pkgs;

      # Before `kubeadm init` or `kubeadm join` there is nothing to run.
      unitConfig = {
        ConditionPathExists = "/var/lib/kubelet/config.yaml";
        StartLimitIntervalSec = 0;
      };
      environment = {
        KUBELET_KUBECONFIG_ARGS = "--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf --kubeconfig=/etc/kubernetes/kubelet.conf";
        KUBELET_CONFIG_ARGS = "--config=/var/lib/kubelet/config.yaml";
      };
      serviceConfig = {
        # KUBELET_KUBEADM_ARGS, written by kubeadm.
        EnvironmentFile = "-/var/lib/kubelet/kubeadm-flags.env";
        ExecStart = "${cfg.package}/bin/kubelet $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS";
        Restart = "always";
        RestartSec = "10s";
      };
    };
  };
}
