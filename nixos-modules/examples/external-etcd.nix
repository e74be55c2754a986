# Two load balancers, two control planes, and etcd on three machines of its own. Without control planes
# that are members of etcd, two are as good as three.
{
  name = "external-etcd";
  virtualAddress = "10.20.0.10/24";
  interface = "eno1";
  endpointName = "api.example.org";

  virtualRouter = {
    vrid = 10;
    advertisementInterval = "100ms";
  };

  networks = {
    # The worker is in a network of its own.
    nodes = [
      "10.20.0.0/24"
      "10.20.1.0/24"
    ];
    pods = [ "10.60.0.0/16" ];
    services = [ "10.61.0.0/16" ];
  };

  kubernetes = {
    version = "1.36.0";
    networkPluginPorts.udp = [ 8472 ];
    kubeProxyConfiguration.mode = "nftables";
  };
  etcd.topology = "external";
  secrets = {
    directory = "/run/secrets";
    etcdCaKey = "/run/agenix/etcd-ca.key";
  };

  machines =
    let
      machine = role: address: {
        inherit address;
        roles = [ role ];
      };
    in
    {
      lb1 = machine "load-balancer" "10.20.0.11";
      lb2 = machine "load-balancer" "10.20.0.12";
      control1 = machine "control-plane" "10.20.0.21";
      control2 = machine "control-plane" "10.20.0.22";
      etcd1 = machine "etcd" "10.20.0.31";
      etcd2 = machine "etcd" "10.20.0.32";
      etcd3 = machine "etcd" "10.20.0.33";
      worker1 = machine "worker" "10.20.1.41";
    };
}
