# What is said of wrong descriptions: whole lists, in order.
{ root }:
let
  inherit (import (root + "/nixos-modules/lib")) problems;
  founding = import (root + "/nixos-modules/examples/founding.nix");

  says = expected: changes: {
    expr = problems (founding // changes);
    inherit expected;
  };
  machines = changes: {
    machines =
      founding.machines
      // builtins.mapAttrs (name: change: founding.machines.${name} or { } // change) changes;
  };
  without = names: { machines = removeAttrs founding.machines names; };
  external = {
    etcd.topology = "external";
  };
  machine = address: roles: { inherit address roles; };
in
{
  "an empty description lacks what is required" = {
    expr = problems { };
    expected = [
      "machines is missing; write machines = { lb-a = { address = \"10.0.0.1\"; roles = [ \"load-balancer\" ]; }; … };"
      "virtualAddress is missing; write virtualAddress = \"10.0.0.250/24\";"
      "virtualRouter is missing; write virtualRouter = { vrid = 51; };"
    ];
  };
  "what is no set is no description" = {
    expr = problems 3;
    expected = [ "The description is 3, and must be a set of attributes, { … }" ];
  };
  "everything wrong is said at once" =
    says
      [
        "virtualAdress: there is no such key; did you mean \"virtualAddress\"?"
        "kubernetes.version = \"1.35\": expected a release with its patch level, such as \"1.37.0\""
        "machines.lb-a.adress: there is no such key; did you mean \"address\"?"
        "machines.lb-a.address is missing; write address = \"10.0.0.1\";"
        "virtualRouter.vrid = 256: expected a whole number from 1 to 255"
        "networks.services 10.96.0.0/12: this overlaps networks.pods 10.96.0.0/16; choose a network that is free"
      ]
      {
        virtualAdress = "211.183.3.250/24";
        virtualRouter.vrid = 256;
        kubernetes.version = "1.35";
        networks.pods = [ "10.96.0.0/16" ];
        machines = founding.machines // {
          lb-a = {
            adress = "211.183.3.251";
            roles = [ "load-balancer" ];
          };
        };
      };

  "a key in another spelling is recognised" = says [
    "virtual-router: there is no such key; did you mean \"virtualRouter\"?"
  ] { virtual-router = { }; };
  "a key that is like none gets the list" = says [
    "etcd.banana: there is no such key; known are topology"
  ] { etcd.banana = 1; };
  "a word that is like one is recognised" =
    says
      [
        "machines.worker.roles[0] = \"workers\": did you mean \"worker\"?"
      ]
      (machines {
        worker.roles = [ "workers" ];
      });
  "a word that is like none gets the list" =
    says
      [
        "machines.worker.roles[0] = \"minion\": expected \"load-balancer\", \"control-plane\", \"worker\" and \"etcd\""
      ]
      (machines {
        worker.roles = [ "minion" ];
      });
  "a role is in a list" =
    says
      [
        "machines.worker.roles = \"worker\": expected a list, [ … ]"
      ]
      (machines {
        worker.roles = "worker";
      });
  "a host has a host's name" =
    says
      [
        "machines.Worker_2: the name \"Worker_2\" is not a host name: small letters, digits and hyphens, at most 63"
      ]
      (machines {
        Worker_2 = machine "211.183.3.111" [ "worker" ];
      });
  "an address is one" =
    says
      [
        "machines.worker.address = \"211.183.3.256\": expected an address that a machine can have, such as \"10.0.0.1\" or \"fd00::1\""
      ]
      (machines {
        worker.address = "211.183.3.256";
      });
  "no machine has a multicast address" =
    says
      [
        "machines.worker.address = \"224.0.0.18\": expected an address that a machine can have, such as \"10.0.0.1\" or \"fd00::1\""
      ]
      (machines {
        worker.address = "224.0.0.18";
      });
  "the virtual address has a prefix" = says [
    "virtualAddress = \"211.183.3.250\": expected an address with the length of its network's prefix, such as \"10.0.0.250/24\""
  ] { virtualAddress = "211.183.3.250"; };
  "a network has no bits behind its prefix" = says [
    "networks.pods[0] = \"10.244.1.0/16\": expected a network without bits behind its prefix, such as \"10.0.0.0/24\""
  ] { networks.pods = [ "10.244.1.0/16" ]; };
  "of what cannot be read nothing else is said" =
    says
      [
        "kubernetes = \"1.36.0\": expected a set of attributes, { … }"
        "machines.lb-a.interface = \"a-very-long-interface\": expected the name of a network interface, at most 15 bytes, such as \"ens32\""
        "secrets = \"/run/secrets\": expected a set of attributes, { … }"
      ]
      (
        {
          kubernetes = "1.36.0";
          secrets = "/run/secrets";
          interface = null;
          networks.configure = false;
        }
        // machines {
          lb-a.interface = "a-very-long-interface";
          lb-b.interface = "ens32";
        }
      );
  "a function is no port" = says [
    "port = a function: expected a whole number from 1 to 65535"
  ] { port = x: x; };

  "two machines cannot have one address" =
    says
      [
        "machines.lb-b.address = \"211.183.3.251\": lb-a has this address too; give every machine its own"
      ]
      (machines {
        lb-b.address = "211.183.3.251";
      });
  "two spellings are one address" =
    says
      [
        "machines.node3.address = \"FD00:51:0:0::2\": node2 has this address too; give every machine its own"
      ]
      (
        let
          stacked = import (root + "/nixos-modules/examples/stacked-on-control-planes.nix");
        in
        stacked
        // {
          machines = stacked.machines // {
            node3 = stacked.machines.node3 // {
              address = "FD00:51:0:0::2";
            };
          };
        }
        // {
          virtualRouter.vrid = 51;
        }
      );
  "no machine has the virtual address" =
    says
      [
        "machines.master1.address = \"211.183.3.250\": this is the virtual address, which moves between machines; give the machine an address of its own"
      ]
      (machines {
        master1.address = "211.183.3.250";
      });
  "a machine is in one of the networks" =
    says
      [
        "machines.worker.address = \"10.9.9.9\": this is in none of the networks of machines, 211.183.3.250/24; correct it, or add its network to networks.nodes"
      ]
      (machines {
        worker.address = "10.9.9.9";
      });
  "the virtual address is in one of the networks" =
    says
      [
        "virtualAddress = \"211.183.4.250/24\": this is in none of the networks of machines, 211.183.3.0/24; correct it, or add its network to networks.nodes"
        "machines.lb-a.address = \"211.183.3.251\": a load balancer must be on the link of the virtual address 211.183.4.250/24; give it an address in that network"
        "machines.lb-b.address = \"211.183.3.252\": a load balancer must be on the link of the virtual address 211.183.4.250/24; give it an address in that network"
      ]
      {
        virtualAddress = "211.183.4.250/24";
        networks.nodes = [ "211.183.3.0/24" ];
      };
  "the virtual address is not the network" = says [
    "virtualAddress = \"211.183.3.0/24\": this is the network itself; write one of the addresses in it"
  ] { virtualAddress = "211.183.3.0/24"; };

  "pods are not where machines are" = says [
    "networks.pods 211.183.0.0/16: this overlaps networks.nodes 211.183.3.250/24; choose a network that is free"
  ] { networks.pods = [ "211.183.0.0/16" ]; };
  "there is one network of each family" =
    says
      [
        "networks.pods = 10.1.0.0/16 and 10.2.0.0/16: there can be one network of each family; keep one for IPv4 and one for IPv6"
        "networks.services = 10.96.0.0/12: pods have networks of other families, 10.1.0.0/16 and 10.2.0.0/16; write the same families in the same order"
      ]
      {
        networks.pods = [
          "10.1.0.0/16"
          "10.2.0.0/16"
        ];
      };
  "there is a network of pods" = says [
    "networks.pods = [ ]: there must be a network; write one, such as \"10.244.0.0/16\" for pods and \"10.96.0.0/12\" for services"
  ] { networks.pods = [ ]; };
  "services are first of the family of the control planes" =
    says
      [
        "networks.services = fd00:61::/112: the first must be of the family of the control planes' addresses, IPv4"
      ]
      {
        networks = {
          pods = [ "fd00:60::/56" ];
          services = [ "fd00:61::/112" ];
        };
      };
  "a network of services has a size that the apiserver takes" =
    says
      [
        "networks.services 10.0.0.0/8: the apiserver takes 4 to 20 bits of addresses; write a length from /12 to /28"
      ]
      {
        networks = {
          pods = [ "172.16.0.0/16" ];
          services = [ "10.0.0.0/8" ];
        };
      };
  "a network of pods has a part for each node" = says [
    "networks.pods 10.244.0.0/25: every node gets a /24 of it, at most 65536 nodes; write a length from /8 to /24"
  ] { networks.pods = [ "10.244.0.0/25" ]; };

  "a machine is something" =
    says
      [
        "machines.worker.roles = [ ]: this machine is nothing; give it a role, or remove it"
      ]
      (machines {
        worker.roles = [ ];
      });
  "a control plane is no worker" =
    says
      [
        "machines.master1.roles: \"control-plane\" and \"worker\" cannot share a machine; a control plane that takes ordinary pods has taints = [ ]"
      ]
      (machines {
        master1.roles = [
          "control-plane"
          "worker"
        ];
      });
  "external etcd is not on a control plane" =
    says
      [
        "machines.master1.roles: \"control-plane\" and \"etcd\" cannot share a machine; etcd.topology = \"stacked\" has etcd on the control planes"
      ]
      (
        external
        // machines {
          master1.roles = [
            "control-plane"
            "etcd"
          ];
        }
      );
  "there is a load balancer" =
    says
      [
        "machines: none has the role \"load-balancer\"; give it to two machines, or to the control planes"
      ]
      (without [
        "lb-a"
        "lb-b"
      ]);
  "there is a control plane" =
    says
      [
        "machines: none has the role \"control-plane\"; give it to one or three machines"
      ]
      (without [
        "master1"
        "master2"
        "master3"
      ]);
  "an even number of control planes is one too many or too few" = says [
    "machines: 2 control planes, each with an etcd member, bear the loss of 0, as 1 would; have 1 or 3"
  ] (without [ "master3" ]);
  "an even number of etcd members is one too many or too few" =
    says
      [
        "machines: 4 etcd members bear the loss of 1, as 3 would; have 3 or 5"
      ]
      (
        external
        // machines {
          etcd1 = machine "211.183.3.121" [ "etcd" ];
          etcd2 = machine "211.183.3.122" [ "etcd" ];
          etcd3 = machine "211.183.3.123" [ "etcd" ];
          etcd4 = machine "211.183.3.124" [ "etcd" ];
        }
      );
  "external etcd has machines" = says [
    "etcd.topology = \"external\": no machine has the role \"etcd\"; give it to one, three or five machines"
  ] external;
  "stacked etcd has no machines" =
    says
      [
        "machines.etcd1.roles: with etcd.topology = \"stacked\" etcd is on the control planes; write etcd.topology = \"external\", or remove \"etcd\""
      ]
      (machines {
        etcd1 = machine "211.183.3.121" [ "etcd" ];
      });

  "an interface is needed to be on a link" =
    says
      [
        "machines.lb-a.interface is missing; write the network interface of its address, or one for all machines at the top: interface = \"ens32\";"
        "machines.lb-b.interface is missing; write the network interface of its address, or one for all machines at the top: interface = \"ens32\";"
      ]
      {
        interface = null;
        networks.configure = false;
      };
  "priorities differ" =
    says
      [
        "machines.lb-b.priority = 150: lb-a has this priority too; the higher one is Active, so give each its own"
      ]
      (machines {
        lb-a.priority = 150;
        lb-b.priority = 150;
      });
  "priorities are for all or for none" =
    says
      [
        "machines: lb-a has a priority and other load balancers have none; give one to each, or to none"
      ]
      (machines {
        lb-a.priority = 150;
      });
  "only load balancers have priorities" =
    says
      [
        "machines.worker.priority = 1: only load balancers have a VRRP priority; remove it"
      ]
      (machines {
        worker.priority = 1;
      });
  "version 3 has no passwords" =
    says
      [
        "virtualRouter.password: VRRP version 3 has no passwords; remove it, or write version = 2"
      ]
      {
        virtualRouter = {
          vrid = 51;
          password = "1111";
        };
      };
  "version 2 knows IPv4 only" =
    let
      stacked = import (root + "/nixos-modules/examples/stacked-on-control-planes.nix");
    in
    {
      expr = problems (
        stacked
        // {
          virtualRouter = {
            vrid = 51;
            version = 2;
          };
        }
      );
      expected = [
        "virtualRouter.version = 2: VRRP version 2 knows IPv4 only, and virtualAddress = \"fd00:51::250/64\"; write 3"
      ];
    };
  "a password is in one place" =
    says
      [
        "virtualRouter.passwordFile = \"/run/secrets/vrrp-password\": the password is in `password` already; remove one of them"
      ]
      {
        virtualRouter = founding.virtualRouter // {
          password = "1111";
        };
      };

  "a load balancer beside an apiserver needs a port of its own" =
    says
      [
        "machines.master1: the load balancer (port) and the apiserver (kubernetes.apiserverPort) both want TCP port 6443; write another port, such as port = 8443"
      ]
      (machines {
        master1.roles = [
          "load-balancer"
          "control-plane"
        ];
      });
  "an apiserver is not where the kubelet is" =
    says
      [
        "machines.master1: the apiserver (kubernetes.apiserverPort) and the kubelet both want TCP port 10250; write another kubernetes.apiserverPort"
      ]
      (
        {
          kubernetes = founding.kubernetes // {
            apiserverPort = 10250;
          };
        }
        // without [
          "master2"
          "master3"
        ]
      );
  "forwarding in the kernel is not there yet" = says [
    "loadBalancer.forwarding = \"nat\": the daemon cannot forward like that yet, it carries connections in user space; write \"proxy\", or leave it out"
  ] { loadBalancer.forwarding = "nat"; };
  "a release must be one that can be made" = says [
    "kubernetes.version = \"1.30.4\": this is none of the releases that can be made, 1.31, 1.32, 1.33, 1.34, 1.35, 1.36 and 1.37; choose one that the machines' nixpkgs has"
  ] { kubernetes.version = "1.30.4"; };
  "nodes need a release" = says [
    "kubernetes.version is missing, and master1 is made from here; write kubernetes.version = \"1.37.0\";"
  ] { kubernetes = { }; };
  "the endpoint's name is nobody else's" = says [
    "endpointName = \"lb-a\": a machine is called so; choose a name that is the virtual address's alone"
  ] { endpointName = "lb-a"; };

  "secrets are somewhere" = says [
    "secrets: nothing says where bootstrapToken, certificateKey, etcdCaCertificate, etcdCaKey, frontProxyCaCertificate, frontProxyCaKey, kubernetesCaCertificate, kubernetesCaKey, serviceAccountKey and serviceAccountPublicKey are; write secrets.directory = \"/run/secrets\"; for files that are called as cluster-secrets calls them, or name each"
  ] { secrets = { }; };
  "a secret is not in the store" =
    says
      [
        "secrets.bootstrapToken = ${toString root}/README.md: a secret in the Nix store is no secret; write where it will be on the machine, as text: \"/run/secrets/…\""
      ]
      {
        secrets = founding.secrets // {
          bootstrapToken = root + "/README.md";
        };
      };
  "a secret has a whole path" =
    says
      [
        "secrets.bootstrapToken = \"token\": expected the absolute path of a file on the machine, such as \"/run/secrets/…\""
      ]
      {
        secrets = founding.secrets // {
          bootstrapToken = "token";
        };
      };
}
