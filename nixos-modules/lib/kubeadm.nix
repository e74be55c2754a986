# What kubeadm is told: configuration objects of kubeadm.k8s.io/v1beta4 and of the kubelet.
#
# Secrets are not in them. `@bootstrap-token@` and `@certificate-key@` stand where the machine puts its
# own at run time; the CA is in a kubeconfig file that it makes.
let
  inherit (builtins) concatStringsSep toJSON;

  addresses = import ./addresses.nix;
  inherit (import ./document.nix) overlay;

  kubeadm =
    kind: fields:
    {
      apiVersion = "kubeadm.k8s.io/v1beta4";
      inherit kind;
    }
    // fields;

  subnets = prefixes: concatStringsSep "," (map (prefix: prefix.text) prefixes);

  taint =
    {
      key,
      value,
      effect,
    }:
    { inherit key effect; } // (if value == null then { } else { inherit value; });

  pki = "/etc/kubernetes/pki";
in
rec {
  criSocket = "unix:///run/containerd/containerd.sock";

  # Where the machine puts the kubeconfig file by which it discovers the cluster.
  discoveryFile = "/run/catamaran-kubernetes/discovery.conf";

  # JSON objects in one text. JSON is YAML, and `---` stands between documents of YAML.
  toText = objects: concatStringsSep "\n---\n" (map toJSON objects) + "\n";

  nodeRegistration =
    machine:
    {
      inherit (machine) name;
      inherit criSocket;
      # Otherwise the kubelet may take the virtual address, where this machine has it, for its own.
      kubeletExtraArgs = [
        {
          name = "node-ip";
          value = machine.address.text;
        }
      ];
    }
    // (if machine.taints == null then { } else { taints = map taint machine.taints; });

  localEndpoint = cluster: machine: {
    advertiseAddress = machine.address.text;
    bindPort = cluster.kubernetes.apiserverPort;
  };

  clusterConfiguration =
    cluster: facts:
    overlay (kubeadm "ClusterConfiguration" {
      clusterName = cluster.name;
      kubernetesVersion = "v${cluster.kubernetes.version}";
      controlPlaneEndpoint = facts.endpoint.text;
      inherit (cluster.kubernetes) imageRepository;
      apiServer.certSANs = facts.certificateNames;
      networking = {
        podSubnet = subnets cluster.networks.pods;
        serviceSubnet = subnets cluster.networks.services;
        dnsDomain = cluster.networks.domain;
      };
      etcd =
        if cluster.etcd.topology == "external" then
          {
            external = {
              endpoints = facts.etcd.clientUrls;
              caFile = "${pki}/etcd/ca.crt";
              certFile = "${pki}/apiserver-etcd-client.crt";
              keyFile = "${pki}/apiserver-etcd-client.key";
            };
          }
        else
          { local.dataDir = "/var/lib/etcd"; };
    }) cluster.kubernetes.clusterConfiguration;

  kubeletConfiguration =
    cluster:
    overlay {
      apiVersion = "kubelet.config.k8s.io/v1beta1";
      kind = "KubeletConfiguration";
      cgroupDriver = "systemd";
    } cluster.kubernetes.kubeletConfiguration;

  kubeProxyConfiguration =
    cluster:
    overlay {
      apiVersion = "kubeproxy.config.k8s.io/v1alpha1";
      kind = "KubeProxyConfiguration";
    } cluster.kubernetes.kubeProxyConfiguration;

  # For `kubeadm init`, and for the phases that let machines in again.
  init =
    cluster: facts: machine:
    [
      (kubeadm "InitConfiguration" {
        bootstrapTokens = [
          {
            token = "@bootstrap-token@";
            description = "for the machines of the description";
            ttl = cluster.kubernetes.tokenLifetime;
            usages = [
              "signing"
              "authentication"
            ];
            groups = [ "system:bootstrappers:kubeadm:default-node-token" ];
          }
        ];
        certificateKey = "@certificate-key@";
        localAPIEndpoint = localEndpoint cluster machine;
        nodeRegistration = nodeRegistration machine;
      })
      (clusterConfiguration cluster facts)
      (kubeletConfiguration cluster)
    ]
    ++ (
      if cluster.kubernetes.kubeProxyConfiguration == { } then
        [ ]
      else
        [ (kubeProxyConfiguration cluster) ]
    );

  # For `kubeadm join`.
  join = cluster: machine: isControlPlane: [
    (kubeadm "JoinConfiguration" (
      {
        discovery = {
          file.kubeConfigPath = discoveryFile;
          tlsBootstrapToken = "@bootstrap-token@";
        };
        nodeRegistration = nodeRegistration machine;
      }
      // (
        if isControlPlane then
          {
            controlPlane = {
              localAPIEndpoint = localEndpoint cluster machine;
              certificateKey = "@certificate-key@";
            };
          }
        else
          { }
      )
    ))
  ];

  # URL of an apiserver behind the virtual address.
  apiserverUrl =
    cluster: machine: "https://${addresses.withPort machine.address cluster.kubernetes.apiserverPort}";
}
