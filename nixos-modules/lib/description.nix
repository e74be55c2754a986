# Every key of the description of a cluster.
let
  inherit (builtins) mapAttrs;

  text = import ./text.nix;
  types = import ./types.nix;
  releases = import ./releases.nix;
  inherit (types)
    address
    addressInNetwork
    anything
    attributes
    domain
    duration
    file
    flag
    integer
    interface
    isLabel
    listOf
    named
    network
    port
    record
    secret
    string
    word
    ;

  virtualRouter = record {
    vrid = {
      type = integer 1 255;
      required = "51";
      description = "Virtual router identifier, 1 to 255; nobody else on the link may use it. Required.";
      example = 51;
    };
    version = {
      type = integer 2 3;
      default = 3;
      description = "VRRP version: 3, or 2 as keepalived speaks by default.";
    };
    advertisementInterval = {
      type = duration;
      default = "1s";
      description = "Time between advertisements, as text with its unit. Version 2 counts whole seconds.";
      example = "100ms";
    };
    password = {
      type = string "a password of 1 to 8 bytes" ".{1,8}";
      default = null;
      description = ''
        Password in every advertisement, version 2 only, 1 to 8 bytes. It is sent in clear text and is in
        the Nix store: it keeps strangers apart, not attackers out.
      '';
      example = "1111";
    };
    passwordFile = {
      type = secret;
      default = null;
      description = "A file on the load balancers that holds the password, in place of `password`.";
      example = "/run/secrets/vrrp-password";
    };
    unicast = {
      type = flag;
      default = false;
      description = "Advertise to the other load balancers' addresses instead of the multicast group.";
    };
    preempt = {
      type = flag;
      default = true;
      description = "Whether the address goes back to the load balancer of the highest priority.";
    };
    takeover = {
      type = word [
        "ranked"
        "rfc"
      ];
      default = "ranked";
      description = "How long a backup waits: by its rank, or as the RFC has it, which is right while a keepalived takes part.";
    };
  };

  networks = record {
    nodes = {
      type = listOf network;
      default = null;
      description = "The networks of the machines. By default the virtual address's.";
      example = [ "211.183.3.0/24" ];
    };
    pods = {
      type = listOf network;
      default = [ "10.244.0.0/16" ];
      description = "Addresses of pods: one network, or one of each family.";
    };
    services = {
      type = listOf network;
      default = [ "10.96.0.0/12" ];
      description = "Addresses of services: one network, or one of each family.";
    };
    domain = {
      type = domain;
      default = "cluster.local";
      description = "DNS domain of services.";
    };
    gateway = {
      type = address;
      default = null;
      description = "Default gateway of the machines. By default none is set.";
      example = "211.183.3.1";
    };
    nameservers = {
      type = listOf address;
      default = [ ];
      description = "DNS servers of the machines.";
      example = [ "211.183.3.1" ];
    };
    configure = {
      type = flag;
      default = true;
      description = "Whether the machines get their addresses, gateway and DNS servers from here. The interface must be known then.";
    };
  };

  loadBalancer = record {
    forwarding = {
      type = word [
        "proxy"
        "nat"
        "direct"
      ];
      default = "proxy";
      description = "How connections are carried. So far there is \"proxy\", in user space.";
    };
    balance = {
      type = word [
        "round-robin"
        "least-connections"
        "source-hash"
        "maglev"
        "random-two"
        "first"
      ];
      default = "round-robin";
      description = "How connections are spread over the apiservers.";
    };
    settings = {
      type = attributes;
      default = { };
      description = "Laid over the load balancers' document, key by key, in the document's own words.";
      example.daemon.drain-timeout = "1m";
    };
  };

  kubernetes = record {
    version = {
      type = string "a release with its patch level, such as \"${releases.newest}.0\"" "[0-9]+[.][0-9]+[.][0-9]+";
      default = null;
      description = "Kubernetes release that the cluster is made with. Its minor version must be the packages'. Required where a node is made from here.";
      example = "${releases.newest}.0";
    };
    imageRepository = {
      type = string "a registry, such as \"registry.k8s.io\"" "[^ \n]+";
      default = "registry.k8s.io";
      description = "Registry of Kubernetes' own images.";
    };
    apiserverPort = {
      type = port;
      default = 6443;
      description = "TCP port of each apiserver, 1 to 65535.";
    };
    certificateNames = {
      type = listOf (string "a DNS name or an address" "[A-Za-z0-9.:*-]+");
      default = [ ];
      description = "Further names and addresses for the apiservers' certificate. The virtual address and the control planes are in it anyway.";
      example = [ "api.example.org" ];
    };
    networkPlugin = {
      type = file;
      default = null;
      description = "Manifest of the network plugin, applied by the first control plane. Without one nodes stay NotReady until somebody applies one.";
    };
    networkPluginPorts = {
      type = record {
        tcp = {
          type = listOf port;
          default = [ ];
          description = "TCP ports, 1 to 65535.";
          example = [ 179 ];
        };
        udp = {
          type = listOf port;
          default = [ ];
          description = "UDP ports, 1 to 65535.";
          example = [ 8472 ];
        };
      };
      default = { };
      description = "Ports that the network plugin's own traffic between the machines needs.";
    };
    tokenLifetime = {
      type = duration;
      default = "24h";
      description = "How long the bootstrap token is good after the cluster was made, or after machines were invited again.";
    };
    clusterConfiguration = {
      type = attributes;
      default = { };
      description = "Laid over kubeadm's ClusterConfiguration (kubeadm.k8s.io/v1beta4), key by key.";
      example.apiServer.extraArgs = [
        {
          name = "audit-log-path";
          value = "-";
        }
      ];
    };
    kubeletConfiguration = {
      type = attributes;
      default = { };
      description = "Laid over the KubeletConfiguration (kubelet.config.k8s.io/v1beta1), key by key.";
      example.maxPods = 200;
    };
    kubeProxyConfiguration = {
      type = attributes;
      default = { };
      description = "A KubeProxyConfiguration (kubeproxy.config.k8s.io/v1alpha1), if there is something to say.";
      example.mode = "nftables";
    };
  };

  secrets = record (
    mapAttrs (_: name: {
      type = secret;
      default = null;
      description = "File on the machines that need it. By default `${name}` in `directory`.";
      example = "/run/agenix/${name}";
    }) (import ./secrets.nix).files
    // {
      directory = {
        type = secret;
        default = null;
        description = "Directory on the machines where the files are, each under the name that `cluster-secrets` gives it.";
        example = "/run/secrets";
      };
    }
  );

  taint = record {
    key = {
      type = string "a label's key" "[A-Za-z0-9./_-]+";
      required = "\"example.org/special\"";
      description = "Key of the taint. Required.";
      example = "example.org/special";
    };
    value = {
      type = string "a label's value" "[A-Za-z0-9._-]*";
      default = null;
      description = "Value of the taint.";
    };
    effect = {
      type = word [
        "NoSchedule"
        "PreferNoSchedule"
        "NoExecute"
      ];
      required = "\"NoSchedule\"";
      description = "What it does to pods that do not tolerate it. Required.";
      example = "NoSchedule";
    };
  };

  machine = record {
    address = {
      type = address;
      required = "\"10.0.0.1\"";
      description = "Its own address, by which the others know it. Required.";
      example = "211.183.3.251";
    };
    roles = {
      type = listOf (word roles);
      required = "[ \"worker\" ]";
      description = "What it is: one or more of ${text.enumerate (map text.quote roles)}. Required.";
      example = [ "control-plane" ];
    };
    interface = {
      type = interface;
      default = null;
      description = "Network interface of its address. By default the cluster's.";
      example = "ens32";
    };
    priority = {
      type = integer 1 254;
      default = null;
      description = "VRRP priority of a load balancer, 1 to 254. By default the first one, by name, has 200, the others 100 and less.";
      example = 200;
    };
    taints = {
      type = listOf taint;
      default = null;
      description = "Taints of the node. By default kubeadm's: control planes take no ordinary pods. An empty list lets them.";
      example = [ ];
    };
    managed = {
      type = flag;
      default = true;
      description = "Whether this description makes the machine. The others have to know of one that is not made by it all the same.";
    };
    system = {
      type = word [
        "x86_64-linux"
        "aarch64-linux"
      ];
      default = "x86_64-linux";
      description = "What `mkCluster` builds the machine for.";
    };
    modules = {
      type = listOf anything;
      default = [ ];
      description = "Further NixOS modules of this machine, which `mkCluster` adds: its disks, users, and so on.";
      example = [ "./hardware/lb-a.nix" ];
    };
  };

  roles = [
    "load-balancer"
    "control-plane"
    "worker"
    "etcd"
  ];
in
record {
  name = {
    type = domain;
    default = "kubernetes";
    description = "Name of the cluster in kubeconfig files.";
    example = "production";
  };
  virtualAddress = {
    type = addressInNetwork;
    required = "\"10.0.0.250/24\"";
    description = "The address in front of the control planes, with the length of its network's prefix. Required.";
    example = "211.183.3.250/24";
  };
  endpointName = {
    type = domain;
    default = null;
    description = "A DNS name for the virtual address, by which machines then call the apiservers. The machines know it by themselves.";
    example = "api.example.org";
  };
  port = {
    type = port;
    default = 6443;
    description = "TCP port of the virtual address, 1 to 65535.";
    example = 8443;
  };
  interface = {
    type = interface;
    default = null;
    description = "Network interface of machines that name none.";
    example = "ens32";
  };
  virtualRouter = {
    type = virtualRouter;
    required = "{ vrid = 51; }";
    description = "How the virtual address moves. Required.";
    example.vrid = 51;
  };
  networks = {
    type = networks;
    default = { };
    description = "Addresses of machines, pods and services.";
  };
  loadBalancer = {
    type = loadBalancer;
    default = { };
    description = "How the load balancers work.";
  };
  kubernetes = {
    type = kubernetes;
    default = { };
    description = "What kubeadm makes.";
    example.version = "${releases.newest}.0";
  };
  etcd = {
    type = record {
      topology = {
        type = word [
          "stacked"
          "external"
        ];
        default = "stacked";
        description = "Where etcd is: \"stacked\" on the control planes, or \"external\" on machines of the role \"etcd\".";
      };
    };
    default = { };
    description = "The cluster's memory.";
  };
  secrets = {
    type = secrets;
    default = { };
    description = "Where the secrets are on the machines, as text: nothing of them is in the Nix store.";
    example.directory = "/run/secrets";
  };
  machines = {
    type = named {
      isName = isLabel;
      expectedName = "a host name: small letters, digits and hyphens, at most 63";
    } machine;
    required = "{ lb-a = { address = \"10.0.0.1\"; roles = [ \"load-balancer\" ]; }; … }";
    description = "Every machine by its host name. Required.";
  };
}
