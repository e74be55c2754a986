# Three machines and nothing else: each is a load balancer, a control plane with etcd, and takes pods.
# The virtual address has another port than the apiservers, which are on the same machines.
{
  virtualAddress = "fd00:51::250/64";
  port = 8443;
  interface = "enp1s0";
  virtualRouter.vrid = 51;

  networks = {
    pods = [ "fd00:60::/56" ];
    services = [ "fd00:61::/112" ];
  };

  kubernetes.version = "1.36.0";
  secrets.directory = "/run/secrets";

  machines =
    let
      machine = address: {
        inherit address;
        roles = [
          "load-balancer"
          "control-plane"
        ];
        # Ordinary pods too.
        taints = [ ];
      };
    in
    {
      node1 = machine "fd00:51::1";
      node2 = machine "fd00:51::2";
      node3 = machine "fd00:51::3";
    };
}
