# The founding pair, without a cluster's description: the same on both machines, which are nodes by their
# host names. In a configuration of yours: imports = [ catamaran.nixosModules.load-balancer ];
{
  services.catamaran = {
    enable = true;

    nodes.lb-a = {
      address = "211.183.3.251";
      interface = "ens32";
      priority = 200;
    };
    nodes.lb-b = {
      address = "211.183.3.252";
      interface = "ens32";
      priority = 100;
    };

    virtualRouters.apiserver = {
      vrid = 51;
      addresses = [ "211.183.3.250/24" ];
      version = 2;
      authentication.passFile = "/run/secrets/vrrp-password";
    };

    listeners.apiserver = {
      bind = [ "*:6443" ];
      pool = "apiserver";
    };

    pools.apiserver = {
      check = "apiserver";
      endpoints = {
        master1 = "211.183.3.100:6443";
        master2 = "211.183.3.101:6443";
        master3 = "211.183.3.102:6443";
      };
    };

    checks.apiserver = {
      plugin = "apiserver-healthz";
      config.path = "/healthz";
      tls.ca = "/run/secrets/kubernetes-ca.pem";
    };
  };
}
