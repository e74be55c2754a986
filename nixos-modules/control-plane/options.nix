{ lib, ... }:
let
  inherit (lib) mkEnableOption mkOption types;
in
{
  options.catamaran.kubernetes.controlPlane = {
    enable = mkEnableOption "a Kubernetes control plane";

    initialise = mkOption {
      type = types.bool;
      default = false;
      description = ''
        Whether this machine makes the cluster, where there is none. One machine of a cluster does. It
        looks for an apiserver of the same authority first, and joins if there is one.
      '';
    };

    otherApiservers = mkOption {
      type = types.listOf (types.strMatching "https://.+");
      default = [ ];
      example = [ "https://211.183.3.101:6443" ];
      description = "Where it looks for the cluster besides `catamaran.kubernetes.endpoint`.";
    };

    init = mkOption {
      type = types.listOf (types.attrsOf (types.anything or types.unspecified));
      example = [
        {
          apiVersion = "kubeadm.k8s.io/v1beta4";
          kind = "InitConfiguration";
        }
      ];
      description = ''
        What `kubeadm init` is told, and its phases that let machines join again. `@bootstrap-token@` and
        `@certificate-key@` stand for the secrets.
      '';
    };

    networkPlugin = mkOption {
      type = types.nullOr (types.either types.path types.str);
      default = null;
      example = "./flannel.yaml";
      description = "Manifest that the machine with `initialise` applies, again when it changed.";
    };

    secrets = {
      certificateKey = mkOption {
        type = types.str;
        example = "/run/secrets/certificate-key";
        description = "File on this machine with the key of the certificates that control planes hand on.";
      };
      pki = mkOption {
        type = types.attrsOf types.str;
        default = { };
        example = {
          "ca.key" = "/run/secrets/kubernetes-ca.key";
        };
        description = ''
          Files on the machine with `initialise` that are copied to where kubeadm looks for authorities
          and keys, by their place under `/etc/kubernetes/pki`. What is not there, kubeadm makes.
        '';
      };
    };
  };
}
