# The TCP ports of the host that a machine's parts listen at.
let
  inherit (builtins) concatMap elem;

  claim = what: option: port: { inherit what option port; };

  # Where no option leads to the port.
  fixed = what: claim what null;

  kubelet = [
    (fixed "the kubelet's health" 10248)
    (fixed "kube-proxy's metrics" 10249)
    (fixed "the kubelet" 10250)
    (fixed "kube-proxy's health" 10256)
  ];

  etcd = [
    (fixed "etcd's clients" 2379)
    (fixed "etcd's peers" 2380)
    (fixed "etcd's metrics" 2381)
  ];
in
cluster: machine:
let
  ofRole = {
    load-balancer = [ (claim "the load balancer" "port" cluster.port) ];
    control-plane = [
      (claim "the apiserver" "kubernetes.apiserverPort" (cluster.kubernetes.apiserverPort or null))
    ]
    ++ kubelet
    ++ [
      (fixed "the controller manager" 10257)
      (fixed "the scheduler" 10259)
    ]
    ++ (if cluster.etcd.topology or null == "stacked" then etcd else [ ]);
    worker = kubelet;
    inherit etcd;
  };
in
concatMap (role: if elem role machine.roles then ofRole.${role} else [ ]) [
  "load-balancer"
  "control-plane"
  "worker"
  "etcd"
]
