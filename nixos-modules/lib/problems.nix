# What is wrong with a description of which each value by itself is right.
#
# Sentences, each with where, what, and the way out, always in the same order. A value that could not be
# read is null here; that was said when it was read (`refused path` knows), and nothing is said of it
# again.
let
  inherit (builtins)
    attrNames
    concatLists
    concatMap
    elem
    elemAt
    filter
    genList
    head
    length
    match
    ;

  addresses = import ./addresses.nix;
  membersOf = import ./members.nix;
  portsOf = import ./ports.nix;
  releases = import ./releases.nix;
  secretsOf = import ./host-secrets.nix;
  inherit (import ./text.nix) enumerate quote;

  optional = condition: problem: if condition then [ problem ] else [ ];

  given = filter (value: value != null);

  # Every pair of two elements, in order.
  pairs =
    list:
    concatMap (
      first:
      map (second: {
        a = elemAt list first;
        b = elemAt list (first + 1 + second);
      }) (genList (index: index) (length list - first - 1))
    ) (genList (index: index) (length list));

  isOdd = number: number - number / 2 * 2 == 1;
in
refused: cluster:
let
  members = membersOf cluster;
  vip = cluster.virtualAddress;
  router = cluster.virtualRouter;
  networks =
    if cluster.networks == null then
      {
        nodes = null;
        pods = null;
        services = null;
        configure = null;
      }
    else
      cluster.networks;
  lists = {
    nodes = if networks.nodes == null then given [ vip ] else networks.nodes;
    pods = if networks.pods == null then [ ] else networks.pods;
    services = if networks.services == null then [ ] else networks.services;
  };

  addressed = filter (machine: machine.address != null) members.all;
  at = machine: "machines.${machine.name}.address = ${quote machine.address.text}";
  vipWritten = "virtualAddress = ${quote vip.text}";

  inAny = prefixes: address: builtins.any (prefix: addresses.contains prefix address) prefixes;
  texts = prefixes: enumerate (map (prefix: prefix.text) prefixes);

  machineAddresses =
    concatMap (
      { a, b }:
      optional (addresses.same a.address b.address) "${at b}: ${a.name} has this address too; give every machine its own"
    ) (pairs addressed)
    ++ concatMap (
      machine:
      optional (vip != null && addresses.same vip.address machine.address)
        "${at machine}: this is the virtual address, which moves between machines; give the machine an address of its own"
    ) addressed
    ++ concatMap (
      machine:
      optional (lists.nodes != [ ] && !(inAny lists.nodes machine.address))
        "${at machine}: this is in none of the networks of machines, ${texts lists.nodes}; correct it, or add its network to networks.nodes"
    ) addressed;

  virtualAddress =
    if vip == null then
      [ ]
    else
      optional (
        addresses.hostBits vip > 1 && addresses.isNetwork vip
      ) "${vipWritten}: this is the network itself; write one of the addresses in it"
      ++
        optional (!(inAny lists.nodes vip.address))
          "${vipWritten}: this is in none of the networks of machines, ${texts lists.nodes}; correct it, or add its network to networks.nodes"
      ++ concatMap (
        machine:
        optional (machine.address != null && !(addresses.contains vip machine.address))
          "${at machine}: a load balancer must be on the link of the virtual address ${vip.text}; give it an address in that network"
      ) members.loadBalancers;

  describe = prefix: list: "networks.${list} ${prefix.text}";

  networkLists =
    let
      known = concatMap (list: map (prefix: { inherit prefix list; }) lists.${list}) [
        "nodes"
        "pods"
        "services"
      ];
      families = map (prefix: prefix.address.family);
      firstFamily = list: if list == [ ] then null else (head list).address.family;
      apiserver =
        if members.first == null || members.first.address == null then
          null
        else
          members.first.address.family;
      perFamily =
        list:
        let
          prefixes = lists.${list};
        in
        optional (prefixes == [ ] && networks.${list} != null)
          "networks.${list} = [ ]: there must be a network; write one, such as \"10.244.0.0/16\" for pods and \"10.96.0.0/12\" for services"
        ++
          optional
            (
              length prefixes > 2
              || (length prefixes == 2 && firstFamily prefixes == (elemAt prefixes 1).address.family)
            )
            "networks.${list} = ${texts prefixes}: there can be one network of each family; keep one for IPv4 and one for IPv6";
    in
    concatMap (
      { a, b }:
      optional (addresses.overlap a.prefix b.prefix && (a.list != "nodes" || b.list != "nodes"))
        "${describe b.prefix b.list}: this overlaps ${describe a.prefix a.list}; choose a network that is free"
    ) (pairs known)
    ++ concatMap perFamily [
      "pods"
      "services"
    ]
    ++
      optional
        (lists.pods != [ ] && lists.services != [ ] && families lists.pods != families lists.services)
        "networks.services = ${texts lists.services}: pods have networks of other families, ${texts lists.pods}; write the same families in the same order"
    ++
      optional (apiserver != null && lists.services != [ ] && firstFamily lists.services != apiserver)
        "networks.services = ${texts lists.services}: the first must be of the family of the control planes' addresses, IPv${toString apiserver}"
    ++ concatMap (
      prefix:
      optional (addresses.hostBits prefix > 20 || addresses.hostBits prefix < 4)
        "${describe prefix "services"}: the apiserver takes 4 to 20 bits of addresses; write a length from ${
          if prefix.address.family == 4 then "/12 to /28" else "/108 to /124"
        }"
    ) lists.services
    ++ concatMap (
      prefix:
      let
        node = if prefix.address.family == 4 then 24 else 64;
      in
      optional (prefix.length > node || prefix.length < node - 16)
        "${describe prefix "pods"}: every node gets a /${toString node} of it, at most 65536 nodes; write a length from /${toString (node - 16)} to /${toString node}"
    ) lists.pods;

  roles =
    let
      count = length members.etcdMembers;
      topology = cluster.etcd.topology or null;
      # One more role might be anything.
      known =
        cluster.machines != null
        && builtins.all (machine: !(refused "machines.${machine.name}.roles")) members.all;
      bears = number: (number - 1) / 2;
      what =
        if topology == "stacked" then "control planes, each with an etcd member," else "etcd members";
      both =
        machine: a: b: way:
        optional (
          elem a machine.roles && elem b machine.roles
        ) "machines.${machine.name}.roles: ${quote a} and ${quote b} cannot share a machine; ${way}";
    in
    concatMap (
      machine:
      optional (
        machine.roles == [ ] && cluster.machines.${machine.name}.roles != null
      ) "machines.${machine.name}.roles = [ ]: this machine is nothing; give it a role, or remove it"
      ++ both machine "control-plane" "worker" "a control plane that takes ordinary pods has taints = [ ]"
      ++ both machine "control-plane" "etcd" "etcd.topology = \"stacked\" has etcd on the control planes"
    ) members.all
    ++ optional (
      cluster.machines != null && members.loadBalancers == [ ]
    ) "machines: none has the role \"load-balancer\"; give it to two machines, or to the control planes"
    ++ optional (
      cluster.machines != null && members.controlPlanes == [ ]
    ) "machines: none has the role \"control-plane\"; give it to one or three machines"
    ++ concatMap (
      machine:
      optional (topology == "stacked")
        "machines.${machine.name}.roles: with etcd.topology = \"stacked\" etcd is on the control planes; write etcd.topology = \"external\", or remove \"etcd\""
    ) members.etcd
    ++
      optional (known && topology == "external" && members.etcd == [ ])
        "etcd.topology = \"external\": no machine has the role \"etcd\"; give it to one, three or five machines"
    ++
      optional (known && topology != null && count > 0 && !(isOdd count))
        "machines: ${toString count} ${what} bear the loss of ${toString (bears count)}, as ${toString (count - 1)} would; have ${toString (count - 1)} or ${toString (count + 1)}";

  interfaces =
    let
      needed =
        machine:
        !(refused "interface")
        && !(refused "machines.${machine.name}.interface")
        && (elem "load-balancer" machine.roles || (networks.configure == true && machine.managed == true));
    in
    concatMap (
      machine:
      optional (needed machine && machine.interface == null)
        "machines.${machine.name}.interface is missing; write the network interface of its address, or one for all machines at the top: interface = \"ens32\";"
    ) members.all;

  priorities =
    let
      chosen = filter (machine: machine.priority != null) members.loadBalancers;
      written = machine: "machines.${machine.name}.priority = ${toString machine.priority}";
    in
    concatMap (
      { a, b }:
      optional (
        a.priority == b.priority
      ) "${written b}: ${a.name} has this priority too; the higher one is Active, so give each its own"
    ) (pairs chosen)
    ++ concatMap (
      machine:
      optional (
        machine.priority != null && !(elem "load-balancer" machine.roles)
      ) "${written machine}: only load balancers have a VRRP priority; remove it"
    ) members.all
    ++
      optional (chosen != [ ] && length chosen != length members.loadBalancers)
        "machines: ${enumerate (map (machine: machine.name) chosen)} ${
          if length chosen == 1 then "has" else "have"
        } a priority and other load balancers have none; give one to each, or to none";

  virtualRouter =
    if router == null then
      [ ]
    else
      optional (
        router.version == 2 && vip != null && vip.address.family == 6
      ) "virtualRouter.version = 2: VRRP version 2 knows IPv4 only, and ${vipWritten}; write 3"
      ++ optional (
        router.version == 3 && router.password != null
      ) "virtualRouter.password: VRRP version 3 has no passwords; remove it, or write version = 2"
      ++
        optional (router.version == 3 && router.passwordFile != null)
          "virtualRouter.passwordFile = ${quote router.passwordFile}: VRRP version 3 has no passwords; remove it, or write version = 2"
      ++
        optional (router.password != null && router.passwordFile != null)
          "virtualRouter.passwordFile = ${quote router.passwordFile}: the password is in `password` already; remove one of them";

  ports =
    let
      written = claim: if claim.option == null then claim.what else "${claim.what} (${claim.option})";
      way =
        { a, b }:
        if a.option == "port" then
          "write another port, such as port = ${if a.port == 8443 then "9443" else "8443"}"
        else if a.option != null then
          "write another ${a.option}"
        else
          "write another ${b.option}";
    in
    concatMap (
      machine:
      concatMap (
        pair@{ a, b }:
        optional (a.port != null && a.port == b.port && (a.option != null || b.option != null))
          "machines.${machine.name}: ${written a} and ${written b} both want TCP port ${toString a.port}; ${way pair}"
      ) (pairs (portsOf cluster machine))
    ) members.all;

  forwarding =
    let
      word = cluster.loadBalancer.forwarding or null;
    in
    optional (word != null && word != "proxy")
      "loadBalancer.forwarding = ${quote word}: the daemon cannot forward like that yet, it carries connections in user space; write \"proxy\", or leave it out";

  kubernetesVersion =
    let
      version = cluster.kubernetes.version or null;
      made = filter (machine: machine.managed == true) members.nodes;
      minor = if version == null then null else head (match "([0-9]+[.][0-9]+)[.].*" version);
    in
    optional
      (version == null && cluster.kubernetes != null && !(refused "kubernetes.version") && made != [ ])
      "kubernetes.version is missing, and ${(head made).name} is made from here; write kubernetes.version = \"${releases.newest}.0\";"
    ++
      optional (minor != null && !(releases.pause ? ${minor}))
        "kubernetes.version = ${quote version}: this is none of the releases that can be made, ${enumerate (attrNames releases.pause)}; choose one that the machines' nixpkgs has";

  names = concatMap (
    machine:
    optional (cluster.endpointName != null && machine.name == cluster.endpointName)
      "endpointName = ${quote cluster.endpointName}: a machine is called so; choose a name that is the virtual address's alone"
  ) members.all;

  secrets =
    let
      managed = filter (machine: machine.managed == true) members.all;
      needed = attrNames (
        builtins.foldl' (all: machine: all // secretsOf.needs cluster members machine) { } managed
      );
      missing = filter (name: secretsOf.path cluster name == null) needed;
    in
    optional (!(refused "secrets") && missing != [ ])
      "secrets: nothing says where ${enumerate missing} ${
        if length missing == 1 then "is" else "are"
      }; write secrets.directory = \"/run/secrets\"; for files that are called as cluster-secrets calls them, or name each";
in
concatLists [
  machineAddresses
  virtualAddress
  networkLists
  roles
  interfaces
  priorities
  virtualRouter
  ports
  forwarding
  kubernetesVersion
  names
  secrets
]
