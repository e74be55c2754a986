# The founding case: two load balancers, three control planes with stacked etcd, one worker.
{
  virtualAddress = "211.183.3.250/24";
  interface = "ens32";

  # As the keepalived pair had it, with its password in a file; without these two lines it is version 3.
  virtualRouter = {
    vrid = 51;
    version = 2;
    passwordFile = "/run/secrets/vrrp-password";
  };

  networks.gateway = "211.183.3.1";
  kubernetes.version = "1.36.0";
  secrets.directory = "/run/secrets";

  machines =
    let
      machine = role: address: {
        inherit address;
        roles = [ role ];
      };
    in
    {
      lb-a = machine "load-balancer" "211.183.3.251";
      lb-b = machine "load-balancer" "211.183.3.252";
      master1 = machine "control-plane" "211.183.3.100";
      master2 = machine "control-plane" "211.183.3.101";
      master3 = machine "control-plane" "211.183.3.102";
      worker = machine "worker" "211.183.3.110";
    };
}
