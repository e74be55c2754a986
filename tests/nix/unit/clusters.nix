# What other descriptions change, against values written by hand.
{ root }:
let
  cluster = import (root + "/nixos-modules/lib");
  example = name: import (root + "/nixos-modules/examples/${name}.nix");
  founding = example "founding";

  external = cluster.facts (example "external-etcd");
  stacked = cluster.facts (example "stacked-on-control-planes");
  changed = changes: cluster.facts (founding // changes);
  withMachines =
    change:
    changed { machines = builtins.mapAttrs (_: machine: machine // change machine) founding.machines; };

  kind = wanted: objects: builtins.head (builtins.filter (object: object.kind == wanted) objects);
  clusterOf = facts: host: kind "ClusterConfiguration" facts.hosts.${host}.kubernetes.init;
  is = expected: expr: { inherit expr expected; };

  balancers = count: {
    machines =
      founding.machines
      // builtins.listToAttrs (
        builtins.genList (index: {
          name = "lb-${builtins.substring index 1 "abcdefgh"}";
          value = {
            address = "211.183.3.${toString (200 + index)}";
            roles = [ "load-balancer" ];
          };
        }) count
      );
  };
in
{
  "nothing is wrong with the examples and the template" =
    is
      [
        [ ]
        [ ]
        [ ]
      ]
      [
        (cluster.problems (example "external-etcd"))
        (cluster.problems (example "stacked-on-control-planes"))
        (cluster.problems (import (root + "/nixos-modules/template/cluster.nix")))
      ];

  "external etcd is reached with a client's certificate" = is {
    external = {
      endpoints = [
        "https://10.20.0.31:2379"
        "https://10.20.0.32:2379"
        "https://10.20.0.33:2379"
      ];
      caFile = "/etc/kubernetes/pki/etcd/ca.crt";
      certFile = "/etc/kubernetes/pki/apiserver-etcd-client.crt";
      keyFile = "/etc/kubernetes/pki/apiserver-etcd-client.key";
    };
  } (clusterOf external "control1").etcd;

  "an etcd member knows every other" = is {
    name = "etcd2";
    initialCluster = [
      "etcd1=https://10.20.0.31:2380"
      "etcd2=https://10.20.0.32:2380"
      "etcd3=https://10.20.0.33:2380"
    ];
    initialClusterToken = "external-etcd";
    clientUrl = "https://10.20.0.32:2379";
    peerUrl = "https://10.20.0.32:2380";
    certificateNames = {
      dns = [
        "etcd2"
        "localhost"
      ];
      addresses = [
        "10.20.0.32"
        "127.0.0.1"
        "::1"
      ];
    };
  } external.hosts.etcd2.etcd;

  "an etcd member is no node" = is null external.hosts.etcd1.kubernetes;

  "etcd lets control planes and members in" = is [
    {
      protocol = "tcp";
      ports = [ 2379 ];
      from = [
        "10.20.0.21"
        "10.20.0.22"
        "10.20.0.31"
        "10.20.0.33"
      ];
    }
    {
      protocol = "tcp";
      ports = [ 2380 ];
      from = [
        "10.20.0.31"
        "10.20.0.33"
      ];
    }
  ] external.hosts.etcd2.firewall;

  "the network plugin's ports are open between nodes" = is {
    protocol = "udp";
    ports = [ 8472 ];
    from = [
      "10.20.0.21"
      "10.20.0.22"
    ];
  } (builtins.elemAt external.hosts.worker1.firewall 1);

  "a secret may be elsewhere than the others" = is {
    etcdCaCertificate = "/run/secrets/etcd-ca.crt";
    etcdCaKey = "/run/agenix/etcd-ca.key";
  } external.hosts.etcd1.secrets;

  "control planes with external etcd get no key of its authority" = is {
    "ca.crt" = "/run/secrets/kubernetes-ca.crt";
    "ca.key" = "/run/secrets/kubernetes-ca.key";
    "front-proxy-ca.crt" = "/run/secrets/front-proxy-ca.crt";
    "front-proxy-ca.key" = "/run/secrets/front-proxy-ca.key";
    "sa.key" = "/run/secrets/service-account.key";
    "sa.pub" = "/run/secrets/service-account.pub";
    "etcd/ca.crt" = "/run/secrets/etcd-ca.crt";
    "apiserver-etcd-client.crt" = "/run/secrets/etcd-client.crt";
    "apiserver-etcd-client.key" = "/run/secrets/etcd-client.key";
  } external.hosts.control1.kubernetes.pki;

  "a name for the endpoint is in certificates, and known" =
    is
      [
        "api.example.org:6443"
        "api.example.org"
        [ "api.example.org" ]
        "https://api.example.org:6443"
      ]
      [
        (clusterOf external "control2").controlPlaneEndpoint
        (builtins.head external.certificateNames)
        external.hostNames."10.20.0.10"
        external.hosts.worker1.kubernetes.endpointUrl
      ];

  "kube-proxy is told what there is to say" = is {
    apiVersion = "kubeproxy.config.k8s.io/v1alpha1";
    kind = "KubeProxyConfiguration";
    mode = "nftables";
  } (kind "KubeProxyConfiguration" external.hosts.control1.kubernetes.init);

  "a machine's prefix is that of its own network" = is 24 external.hosts.worker1.prefixLength;

  "three load balancers on control planes share an address at a port of its own" =
    is
      [
        "[fd00:51::250]:8443"
        [ "*:8443" ]
        {
          node1 = "[fd00:51::1]:6443";
          node2 = "[fd00:51::2]:6443";
          node3 = "[fd00:51::3]:6443";
        }
        [
          200
          100
          99
        ]
      ]
      [
        stacked.endpoint.text
        stacked.document.listeners.apiserver.bind
        stacked.document.pools.apiserver.endpoints
        (map (host: stacked.hosts.${host}.loadBalancer.priority) [
          "node1"
          "node2"
          "node3"
        ])
      ];

  "an empty list of taints lets ordinary pods in" =
    is [ ]
      (kind "InitConfiguration" stacked.hosts.node1.kubernetes.init).nodeRegistration.taints;

  "the founding case has kubeadm's taints" = is false (
    (kind "InitConfiguration" (changed { }).hosts.master1.kubernetes.init).nodeRegistration ? taints
  );

  "priorities fall by one from the second load balancer on" = is [ 200 100 99 98 97 ] (
    map (name: (changed (balancers 5)).document.nodes.${name}.priority) [
      "lb-a"
      "lb-b"
      "lb-c"
      "lb-d"
      "lb-e"
    ]
  );

  "priorities may be chosen" =
    is
      [
        51
        52
      ]
      (
        let
          facts = withMachines (
            machine:
            if machine.roles == [ "load-balancer" ] then
              { priority = if machine.address == "211.183.3.251" then 51 else 52; }
            else
              { }
          );
        in
        [
          facts.document.nodes.lb-a.priority
          facts.document.nodes.lb-b.priority
        ]
      );

  "VRRP version 3 is the default, without a password" = is {
    vrid = 7;
    version = 3;
    addresses = [ "211.183.3.250/24" ];
    advertisement-interval = "1s";
    track = [ { pool = "apiserver"; } ];
  } (changed { virtualRouter.vrid = 7; }).document.virtual-routers.apiserver;

  "a password may be in the description" =
    is
      [
        { pass = "1111"; }
        false
      ]
      (
        let
          facts = changed {
            virtualRouter = {
              vrid = 51;
              version = 2;
              password = "1111";
            };
          };
        in
        [
          facts.document.virtual-routers.apiserver.authentication
          (facts.hosts.lb-a.secrets ? vrrpPassword)
        ]
      );

  "while a keepalived takes part, the RFC's times are kept" =
    is "rfc"
      (changed {
        virtualRouter = {
          vrid = 51;
          takeover = "rfc";
        };
      }).document.virtual-routers.apiserver.takeover;

  "settings lie over the document, key by key" =
    is
      [
        "1m"
        "least-connections"
        "apiserver"
      ]
      (
        let
          facts = changed {
            loadBalancer.settings = {
              daemon.drain-timeout = "1m";
              pools.apiserver.balance = "least-connections";
            };
          };
        in
        [
          facts.document.daemon.drain-timeout
          facts.document.pools.apiserver.balance
          facts.document.pools.apiserver.check
        ]
      );

  "kubeadm's configuration may be laid over" =
    is
      [
        {
          maxPods = 200;
          cgroupDriver = "systemd";
        }
        [ "211.183.3.250" ]
      ]
      (
        let
          facts = changed {
            kubernetes = founding.kubernetes // {
              kubeletConfiguration.maxPods = 200;
              clusterConfiguration.apiServer.certSANs = [ "211.183.3.250" ];
            };
          };
        in
        [
          (removeAttrs (kind "KubeletConfiguration" facts.hosts.master1.kubernetes.init) [
            "apiVersion"
            "kind"
          ])
          (clusterOf facts "master1").apiServer.certSANs
        ]
      );

  "load balancers alone need no secrets, and then verify no certificate" =
    is
      [
        [ ]
        { verify = false; }
        null
      ]
      (
        let
          description =
            removeAttrs founding [
              "secrets"
              "kubernetes"
            ]
            // {
              machines = builtins.mapAttrs (
                _: machine: machine // { managed = machine.roles == [ "load-balancer" ]; }
              ) founding.machines;
            };
          facts = cluster.facts description;
        in
        [
          (cluster.problems description)
          facts.document.checks.apiserver.tls
          facts.hosts.master1.kubernetes
        ]
      );

  "objects for kubeadm are one text of YAML documents" = is "{\"a\":1}\n---\n{\"b\":\"@c@\"}\n" (
    cluster.kubeadm.toText [
      { a = 1; }
      { b = "@c@"; }
    ]
  );
}
