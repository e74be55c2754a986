# What follows from the description of the founding case, against values written by hand.
{ root }:
let
  cluster = import (root + "/nixos-modules/lib");
  description = import (root + "/nixos-modules/examples/founding.nix");
  facts = cluster.facts description;
  inherit (facts) hosts;

  is = expected: expr: { inherit expr expected; };
  init =
    kind: builtins.head (builtins.filter (object: object.kind == kind) hosts.master1.kubernetes.init);
  join = host: builtins.head hosts.${host}.kubernetes.join;
  secret = name: "/run/secrets/${name}";
in
{
  "nothing is wrong with it" = is [ ] (cluster.problems description);

  "everybody has one role" = is {
    loadBalancers = [
      "lb-a"
      "lb-b"
    ];
    controlPlanes = [
      "master1"
      "master2"
      "master3"
    ];
    workers = [ "worker" ];
    etcd = [
      "master1"
      "master2"
      "master3"
    ];
  } facts.members;

  "the endpoint is the virtual address" = is {
    address = "211.183.3.250";
    port = 6443;
    text = "211.183.3.250:6443";
  } facts.endpoint;

  "the document is the founding pair's" = is {
    nodes = {
      lb-a = {
        address = "211.183.3.251";
        interface = "ens32";
        priority = 200;
      };
      lb-b = {
        address = "211.183.3.252";
        interface = "ens32";
        priority = 100;
      };
    };
    virtual-routers.apiserver = {
      vrid = 51;
      addresses = [ "211.183.3.250/24" ];
      version = 2;
      advertisement-interval = "1s";
      authentication.pass-file = "/run/secrets/vrrp-password";
      track = [ { pool = "apiserver"; } ];
    };
    listeners.apiserver = {
      bind = [ "*:6443" ];
      pool = "apiserver";
      forwarding = "proxy";
    };
    pools.apiserver = {
      balance = "round-robin";
      check = "apiserver";
      endpoints = {
        master1 = "211.183.3.100:6443";
        master2 = "211.183.3.101:6443";
        master3 = "211.183.3.102:6443";
      };
    };
    checks.apiserver = {
      plugin = "apiserver-healthz";
      interval = "2s";
      timeout = "1s";
      rise = 2;
      fall = 3;
      config.path = "/healthz";
      tls.ca = "/run/secrets/kubernetes-ca.crt";
    };
  } facts.document;

  "each load balancer finds itself and hears the other" =
    is
      [
        {
          node = "lb-a";
          priority = 200;
          peers = [ "211.183.3.252" ];
        }
        {
          node = "lb-b";
          priority = 100;
          peers = [ "211.183.3.251" ];
        }
      ]
      [
        hosts.lb-a.loadBalancer
        hosts.lb-b.loadBalancer
      ];

  "nobody else is a load balancer" =
    is
      [ null null ]
      [
        hosts.master1.loadBalancer
        hosts.worker.loadBalancer
      ];

  "apiservers have certificates for the virtual address and for each other" = is [
    "211.183.3.250"
    "master1"
    "master2"
    "master3"
    "211.183.3.100"
    "211.183.3.101"
    "211.183.3.102"
  ] (init "ClusterConfiguration").apiServer.certSANs;

  "the cluster is made for the virtual address" = is {
    apiVersion = "kubeadm.k8s.io/v1beta4";
    kind = "ClusterConfiguration";
    clusterName = "kubernetes";
    kubernetesVersion = "v1.36.0";
    controlPlaneEndpoint = "211.183.3.250:6443";
    imageRepository = "registry.k8s.io";
    apiServer.certSANs = facts.certificateNames;
    networking = {
      podSubnet = "10.244.0.0/16";
      serviceSubnet = "10.96.0.0/12";
      dnsDomain = "cluster.local";
    };
    etcd.local.dataDir = "/var/lib/etcd";
  } (init "ClusterConfiguration");

  "the first control plane makes it with given secrets" = is {
    apiVersion = "kubeadm.k8s.io/v1beta4";
    kind = "InitConfiguration";
    bootstrapTokens = [
      {
        token = "@bootstrap-token@";
        description = "for the machines of the description";
        ttl = "24h";
        usages = [
          "signing"
          "authentication"
        ];
        groups = [ "system:bootstrappers:kubeadm:default-node-token" ];
      }
    ];
    certificateKey = "@certificate-key@";
    localAPIEndpoint = {
      advertiseAddress = "211.183.3.100";
      bindPort = 6443;
    };
    nodeRegistration = {
      name = "master1";
      criSocket = "unix:///run/containerd/containerd.sock";
      kubeletExtraArgs = [
        {
          name = "node-ip";
          value = "211.183.3.100";
        }
      ];
    };
  } (init "InitConfiguration");

  "the kubelet's control groups are systemd's" = is {
    apiVersion = "kubelet.config.k8s.io/v1beta1";
    kind = "KubeletConfiguration";
    cgroupDriver = "systemd";
  } (init "KubeletConfiguration");

  "another control plane joins as one" = is {
    apiVersion = "kubeadm.k8s.io/v1beta4";
    kind = "JoinConfiguration";
    discovery = {
      file.kubeConfigPath = "/run/catamaran-kubernetes/discovery.conf";
      tlsBootstrapToken = "@bootstrap-token@";
    };
    controlPlane = {
      localAPIEndpoint = {
        advertiseAddress = "211.183.3.101";
        bindPort = 6443;
      };
      certificateKey = "@certificate-key@";
    };
    nodeRegistration = {
      name = "master2";
      criSocket = "unix:///run/containerd/containerd.sock";
      kubeletExtraArgs = [
        {
          name = "node-ip";
          value = "211.183.3.101";
        }
      ];
    };
  } (join "master2");

  "a worker joins without a certificate key" = is false ((join "worker") ? controlPlane);
  "a worker has nothing to make a cluster with" = is null hosts.worker.kubernetes.init;

  "only one makes the cluster" = is [ true false false false ] (
    map (host: hosts.${host}.kubernetes.isFirst) [
      "master1"
      "master2"
      "master3"
      "worker"
    ]
  );

  "who makes the cluster looks at the others first" = is [
    "https://211.183.3.101:6443"
    "https://211.183.3.102:6443"
  ] hosts.master1.kubernetes.otherApiservers;

  "the pause image is that of the release" =
    is "registry.k8s.io/pause:3.10.2" hosts.worker.kubernetes.pauseImage;

  "a control plane lets in whom it needs" = is [
    {
      protocol = "tcp";
      ports = [ 6443 ];
      from = [ ];
    }
    {
      protocol = "tcp";
      ports = [
        2379
        2380
      ];
      from = [
        "211.183.3.100"
        "211.183.3.102"
      ];
    }
    {
      protocol = "tcp";
      ports = [ 10250 ];
      from = [
        "211.183.3.100"
        "211.183.3.102"
        "10.244.0.0/16"
      ];
    }
  ] hosts.master2.firewall;

  "a worker's kubelet is for control planes and pods" = is [
    {
      protocol = "tcp";
      ports = [ 10250 ];
      from = [
        "211.183.3.100"
        "211.183.3.101"
        "211.183.3.102"
        "10.244.0.0/16"
      ];
    }
  ] hosts.worker.firewall;

  "every machine has its own address in the network" =
    is
      [ "211.183.3.251" 24 "ens32" ]
      [
        hosts.lb-a.address
        hosts.lb-a.prefixLength
        hosts.lb-a.interface
      ];

  "names are known without DNS" = is {
    "211.183.3.251" = [ "lb-a" ];
    "211.183.3.252" = [ "lb-b" ];
    "211.183.3.100" = [ "master1" ];
    "211.183.3.101" = [ "master2" ];
    "211.183.3.102" = [ "master3" ];
    "211.183.3.110" = [ "worker" ];
  } facts.hostNames;

  "the first control plane gets every authority" = is {
    "ca.crt" = secret "kubernetes-ca.crt";
    "ca.key" = secret "kubernetes-ca.key";
    "front-proxy-ca.crt" = secret "front-proxy-ca.crt";
    "front-proxy-ca.key" = secret "front-proxy-ca.key";
    "sa.key" = secret "service-account.key";
    "sa.pub" = secret "service-account.pub";
    "etcd/ca.crt" = secret "etcd-ca.crt";
    "etcd/ca.key" = secret "etcd-ca.key";
  } hosts.master1.kubernetes.pki;

  "other control planes get what they join with" = is {
    kubernetesCaCertificate = secret "kubernetes-ca.crt";
    bootstrapToken = secret "bootstrap-token";
    certificateKey = secret "certificate-key";
  } hosts.master2.secrets;

  "a worker gets no key of anything" = is {
    kubernetesCaCertificate = secret "kubernetes-ca.crt";
    bootstrapToken = secret "bootstrap-token";
  } hosts.worker.secrets;

  "a load balancer gets the authority that it verifies by, and the password" = is {
    kubernetesCaCertificate = secret "kubernetes-ca.crt";
    vrrpPassword = secret "vrrp-password";
  } hosts.lb-b.secrets;
}
