{ config, lib, ... }:
let
  inherit (lib) mkEnableOption mkOption types;

  url =
    what: example:
    mkOption {
      type = types.strMatching "https://.+";
      inherit example;
      description = "URL at which ${what} reach this member.";
    };

  secret =
    what: example:
    mkOption {
      type = types.str;
      inherit example;
      description = "File on this machine with ${what}. It is read by root, when a certificate is made.";
    };
in
{
  options.catamaran.etcd = {
    enable = mkEnableOption "a member of an etcd cluster";

    name = mkOption {
      type = types.str;
      default = config.networking.hostName;
      defaultText = "config.networking.hostName";
      description = "Name of this member.";
    };

    clientUrl = url "clients" "https://10.0.0.21:2379";
    peerUrl = url "the other members" "https://10.0.0.21:2380";

    initialCluster = mkOption {
      type = types.listOf types.str;
      example = [
        "etcd1=https://10.0.0.21:2380"
        "etcd2=https://10.0.0.22:2380"
        "etcd3=https://10.0.0.23:2380"
      ];
      description = "Every member as NAME=URL. It counts when a member starts for the first time.";
    };

    initialClusterState = mkOption {
      type = types.enum [
        "new"
        "existing"
      ];
      default = "new";
      description = "Whether a member that starts for the first time makes a cluster with the others, or takes the place of one that was lost.";
    };

    initialClusterToken = mkOption {
      type = types.str;
      default = "kubernetes";
      description = "A word that keeps clusters apart whose members could reach one another.";
    };

    certificateNames = {
      dns = mkOption {
        type = types.listOf types.str;
        default = [
          config.catamaran.etcd.name
          "localhost"
        ];
        defaultText = "the member's name, and localhost";
        description = "DNS names in this member's certificate.";
      };
      addresses = mkOption {
        type = types.listOf types.str;
        example = [
          "10.0.0.21"
          "127.0.0.1"
        ];
        description = "Addresses in this member's certificate.";
      };
    };

    secrets = {
      caCertificate = secret "the certificate of etcd's authority" "/run/secrets/etcd-ca.crt";
      caKey = secret "the key of etcd's authority" "/run/secrets/etcd-ca.key";
    };
  };
}
