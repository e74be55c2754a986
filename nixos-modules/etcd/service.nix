{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.catamaran.etcd;
  certificates = "/var/lib/catamaran-etcd";
  names =
    map (name: "DNS:${name}") cfg.certificateNames.dns
    ++ map (address: "IP:${address}") cfg.certificateNames.addresses;
in
{
  config = lib.mkIf cfg.enable {
    services.etcd = {
      enable = true;
      inherit (cfg)
        name
        initialCluster
        initialClusterState
        initialClusterToken
        ;
      listenClientUrls = [
        cfg.clientUrl
        "https://127.0.0.1:2379"
      ];
      advertiseClientUrls = [ cfg.clientUrl ];
      listenPeerUrls = [ cfg.peerUrl ];
      initialAdvertisePeerUrls = [ cfg.peerUrl ];
      clientCertAuth = true;
      peerClientCertAuth = true;
      trustedCaFile = "${certificates}/ca.crt";
      certFile = "${certificates}/member.crt";
      keyFile = "${certificates}/member.key";
    };

    systemd.services.etcd = {
      requires = [ "catamaran-etcd-certificates.service" ];
      after = [ "catamaran-etcd-certificates.service" ];
    };

    systemd.services.catamaran-etcd-certificates = {
      description = "Certificate of the etcd member ${cfg.name}";
      path = [
        pkgs.diffutils
        pkgs.openssl
      ];
      environment = {
        CERTIFICATES = certificates;
        MEMBER = cfg.name;
        NAMES = lib.concatStringsSep "," names;
      };
      serviceConfig = {
        Type = "oneshot";
        ExecStart = "${pkgs.bash}/bin/bash ${./certificates.sh}";
        LoadCredential = [
          "ca.crt:${cfg.secrets.caCertificate}"
          "ca.key:${cfg.secrets.caKey}"
        ];
        # etcd reads them, and the authority's key is root's alone.
        Group = "etcd";
        StateDirectory = "catamaran-etcd";
        StateDirectoryMode = "0750";
        PrivateTmp = true;
        ProtectSystem = "strict";
        ProtectHome = true;
        NoNewPrivileges = true;
      };
    };

    systemd.timers.catamaran-etcd-certificates = {
      description = "Renewal of the etcd member's certificate in time";
      wantedBy = [ "timers.target" ];
      timerConfig = {
        OnCalendar = "daily";
        RandomizedDelaySec = "1h";
        Persistent = true;
      };
    };
  };
}
