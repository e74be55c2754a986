# What each machine has to know, derived from a description without problems.
#
# The load balancers' own firewall is not here: their module opens it by the document.
let
  inherit (builtins)
    attrNames
    elem
    filter
    head
    listToAttrs
    map
    match
    ;

  addresses = import ./addresses.nix;
  documents = import ./document.nix;
  hostSecrets = import ./host-secrets.nix;
  kubeadm = import ./kubeadm.nix;
  membersOf = import ./members.nix;
  releases = import ./releases.nix;

  names = map (machine: machine.name);
  texts = map (machine: machine.address.text);

  url = machine: port: "https://${addresses.withPort machine.address port}";

  # Each once, the first place kept.
  unique = builtins.foldl' (seen: value: if elem value seen then seen else seen ++ [ value ]) [ ];

  when = condition: value: if condition then value else null;
in
cluster:
let
  members = membersOf cluster;
  vip = cluster.virtualAddress;
  inherit (members) etcdMembers;

  facts = {
    inherit (cluster) name;

    members = {
      loadBalancers = names members.loadBalancers;
      controlPlanes = names members.controlPlanes;
      workers = names members.workers;
      etcd = names members.etcdMembers;
    };

    # What clients of the cluster talk to.
    endpoint = {
      address = vip.address.text;
      inherit (cluster) port;
      text =
        if cluster.endpointName == null then
          addresses.withPort vip.address cluster.port
        else
          "${cluster.endpointName}:${toString cluster.port}";
    };

    # Names and addresses in the apiservers' certificate, beside those that kubeadm adds itself.
    certificateNames = unique (
      (if cluster.endpointName == null then [ ] else [ cluster.endpointName ])
      ++ [ vip.address.text ]
      ++ names members.controlPlanes
      ++ texts members.controlPlanes
      ++ cluster.kubernetes.certificateNames
    );

    document = documents.document cluster members;

    etcd = {
      inherit (cluster.etcd) topology;
      clientUrls = map (machine: url machine 2379) etcdMembers;
      initialCluster = map (machine: "${machine.name}=${url machine 2380}") etcdMembers;
    };

    network = {
      inherit (cluster.networks) configure;
      gateway = if cluster.networks.gateway == null then null else cluster.networks.gateway.text;
      gatewayFamily = if cluster.networks.gateway == null then null else cluster.networks.gateway.family;
      nameservers = map (server: server.text) cluster.networks.nameservers;
    };

    # Names for addresses, as in /etc/hosts.
    hostNames =
      listToAttrs (
        map (machine: {
          name = machine.address.text;
          value = [ machine.name ];
        }) members.all
      )
      // (
        if cluster.endpointName == null then { } else { ${vip.address.text} = [ cluster.endpointName ]; }
      );

    hosts = listToAttrs (
      map (machine: {
        inherit (machine) name;
        value = host machine;
      }) members.all
    );
  };

  nodeNetworks = if cluster.networks.nodes == null then [ vip ] else cluster.networks.nodes;

  host =
    machine:
    let
      has = role: elem role machine.roles;
      isNode = machine.managed && (has "control-plane" || has "worker");
      network = head (filter (prefix: addresses.contains prefix machine.address) nodeNetworks);
    in
    {
      inherit (machine)
        name
        roles
        interface
        managed
        system
        ;
      address = machine.address.text;
      family = machine.address.family;
      prefixLength = network.length;
      loadBalancer = when (has "load-balancer") (loadBalancer machine);
      kubernetes = when isNode (kubernetes machine);
      etcd = when (has "etcd") (etcd machine);
      firewall = firewall machine;
      secrets = secretPaths machine;
    };

  loadBalancer = machine: {
    node = machine.name;
    inherit (facts.document.nodes.${machine.name}) priority;
    peers = documents.peers members machine;
  };

  kubernetes =
    machine:
    let
      isControlPlane = elem "control-plane" machine.roles;
      isFirst = machine.name == members.first.name;
      minor = head (match "([0-9]+[.][0-9]+)[.].*" cluster.kubernetes.version);
    in
    {
      inherit (cluster.kubernetes) version networkPlugin;
      inherit minor isControlPlane isFirst;
      endpointUrl = "https://${facts.endpoint.text}";
      # Where else an apiserver of this cluster would answer.
      otherApiservers = map (kubeadm.apiserverUrl cluster) (
        filter (other: other.name != machine.name) members.controlPlanes
      );
      pauseImage = "${cluster.kubernetes.imageRepository}/pause:${releases.pause.${minor}}";
      ipv6 = builtins.any (prefix: prefix.address.family == 6) cluster.networks.pods;
      init = when isControlPlane (kubeadm.init cluster facts machine);
      join = kubeadm.join cluster machine isControlPlane;
      # Secrets by the place under /etc/kubernetes/pki where kubeadm finds them.
      pki =
        if isControlPlane && isFirst then
          listToAttrs (
            map (name: {
              name = (hostSecrets.pki cluster).${name};
              value = hostSecrets.path cluster name;
            }) (attrNames (hostSecrets.pki cluster))
          )
        else
          { };
    };

  etcd = machine: {
    inherit (machine) name;
    inherit (facts.etcd) initialCluster;
    initialClusterToken = cluster.name;
    peerUrl = url machine 2380;
    clientUrl = url machine 2379;
    certificateNames = {
      dns = [
        machine.name
        "localhost"
      ];
      addresses = [
        machine.address.text
        "127.0.0.1"
        "::1"
      ];
    };
  };

  # Who may come in: { protocol; ports; from; }, where an empty `from` is everybody.
  firewall =
    machine:
    let
      has = role: elem role machine.roles;
      rule = protocol: ports: from: { inherit protocol ports from; };
      others = filter (other: other.name != machine.name);
      pods = map (prefix: prefix.text) cluster.networks.pods;
      isNode = has "control-plane" || has "worker";
      plugin = cluster.kubernetes.networkPluginPorts;
    in
    filter (rule: rule.ports != [ ]) (
      (if has "control-plane" then [ (rule "tcp" [ cluster.kubernetes.apiserverPort ] [ ]) ] else [ ])
      ++ (
        if has "control-plane" && cluster.etcd.topology == "stacked" && others etcdMembers != [ ] then
          [
            (rule "tcp" [
              2379
              2380
            ] (texts (others etcdMembers)))
          ]
        else
          [ ]
      )
      ++ (
        if has "etcd" then
          [ (rule "tcp" [ 2379 ] (texts (members.controlPlanes ++ others members.etcd))) ]
          ++ (
            if others members.etcd == [ ] then [ ] else [ (rule "tcp" [ 2380 ] (texts (others members.etcd))) ]
          )
        else
          [ ]
      )
      ++ (
        if isNode then
          [
            (rule "tcp" [ 10250 ] (texts (others members.controlPlanes) ++ pods))
          ]
          ++ (
            if others members.nodes == [ ] then
              [ ]
            else
              [
                (rule "tcp" plugin.tcp (texts (others members.nodes)))
                (rule "udp" plugin.udp (texts (others members.nodes)))
              ]
          )
        else
          [ ]
      )
    );

  # Every secret that must be on the machine, and where.
  secretPaths =
    machine:
    let
      needed = hostSecrets.needs cluster members machine;
      known = filter (name: hostSecrets.path cluster name != null);
      always = listToAttrs (
        map (name: {
          inherit name;
          value = hostSecrets.path cluster name;
        }) (known (attrNames needed))
      );
      balancer =
        (
          if hostSecrets.path cluster "kubernetesCaCertificate" == null then
            { }
          else
            { kubernetesCaCertificate = hostSecrets.path cluster "kubernetesCaCertificate"; }
        )
        // (
          if cluster.virtualRouter.passwordFile == null then
            { }
          else
            { vrrpPassword = cluster.virtualRouter.passwordFile; }
        );
    in
    always // (if elem "load-balancer" machine.roles then balancer else { });
in
facts
