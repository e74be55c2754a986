{ lib, pkgs, ... }:
let
  inherit (lib) mkOption types;

  package =
    name: what:
    mkOption {
      type = types.package;
      default = pkgs.${name};
      defaultText = "pkgs.${name}";
      description = "The package with ${what}.";
    };

  secret =
    what: example:
    mkOption {
      type = types.str;
      inherit example;
      description = "File on this machine with ${what}. It is read by root when the machine joins.";
    };
in
{
  options.catamaran.kubernetes = {
    role = mkOption {
      type = types.nullOr (
        types.enum [
          "control-plane"
          "worker"
        ]
      );
      default = null;
      internal = true;
      description = "What this node is; set by `controlPlane.enable` and `worker.enable`.";
    };

    package = package "kubernetes" "kubeadm, kubelet and kubectl";
    criTools = package "cri-tools" "crictl";
    cniPlugins = package "cni-plugins" "the standard network plugins, which are linked into `/opt/cni/bin`";

    version = mkOption {
      type = types.str;
      example = "1.37.0";
      description = "Kubernetes release of the cluster. Its minor version must be that of `package`.";
    };

    pauseImage = mkOption {
      type = types.str;
      example = "registry.k8s.io/pause:3.10.2";
      description = "Image that holds a pod together: the one that kubeadm of this release names.";
    };

    endpoint = mkOption {
      type = types.strMatching "https://.+";
      example = "https://211.183.3.250:6443";
      description = "URL of the cluster: the virtual address, and the port of the load balancers.";
    };

    join = mkOption {
      type = types.listOf (types.attrsOf (types.anything or types.unspecified));
      example = [
        {
          apiVersion = "kubeadm.k8s.io/v1beta4";
          kind = "JoinConfiguration";
        }
      ];
      description = ''
        What `kubeadm join` is told. `@bootstrap-token@` and `@certificate-key@` stand for the secrets;
        the cluster is discovered by `/run/catamaran-kubernetes/discovery.conf`, which is made of
        `endpoint` and `secrets.caCertificate`.
      '';
    };

    ipv6 = mkOption {
      type = types.bool;
      default = false;
      description = "Whether pods have IPv6 addresses, so that the host forwards IPv6.";
    };

    allowSwap = mkOption {
      type = types.bool;
      default = false;
      description = "Whether the host may have swap. The kubelet must be told so too: `failSwapOn = false`.";
    };

    waitSeconds = mkOption {
      type = types.ints.positive;
      default = 600;
      description = "How many seconds joining waits for the cluster before it fails. It is tried again after that.";
    };

    secrets = {
      caCertificate = secret "the certificate of the cluster's authority" "/run/secrets/kubernetes-ca.crt";
      bootstrapToken = secret "the token that lets machines join" "/run/secrets/bootstrap-token";
    };
  };
}
