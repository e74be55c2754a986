# The document of the load balancers, as an attribute set that serialises to what `catamaran check` accepts.
#
# Every load balancer has the same. What is the daemon's default is left out.
let
  inherit (builtins)
    elemAt
    filter
    genList
    isAttrs
    length
    listToAttrs
    mapAttrs
    ;

  addresses = import ./addresses.nix;
  hostSecrets = import ./host-secrets.nix;

  # The second set laid over the first, key by key.
  overlay =
    below: above:
    below
    // mapAttrs (
      name: value:
      if isAttrs value && isAttrs (below.${name} or null) then overlay below.${name} value else value
    ) above;

  unless =
    default: name: value:
    if value == default then { } else { ${name} = value; };

  # 200, 100, 99, 98, …
  priority = index: if index == 0 then 200 else 101 - index;

  byName =
    machines: value:
    listToAttrs (
      map (machine: {
        inherit (machine) name;
        value = value machine;
      }) machines
    );
in
{
  inherit overlay priority;

  document =
    cluster: members:
    let
      router = cluster.virtualRouter;
      balancers = members.loadBalancers;
      ca = hostSecrets.path cluster "kubernetesCaCertificate";

      nodes = listToAttrs (
        genList (
          index:
          let
            machine = elemAt balancers index;
          in
          {
            inherit (machine) name;
            value = {
              address = machine.address.text;
              inherit (machine) interface;
              priority = if machine.priority != null then machine.priority else priority index;
            };
          }
        ) (length balancers)
      );

      authentication =
        if router.password != null then
          { authentication.pass = router.password; }
        else if router.passwordFile != null then
          { authentication.pass-file = router.passwordFile; }
        else
          { };

      derived = {
        inherit nodes;
        virtual-routers.apiserver = {
          inherit (router) vrid version;
          addresses = [ cluster.virtualAddress.text ];
          advertisement-interval = router.advertisementInterval;
          # Who reaches no apiserver leaves the address to somebody who does.
          track = [ { pool = "apiserver"; } ];
        }
        // authentication
        // unless false "unicast" router.unicast
        // unless true "preempt" router.preempt
        // unless "ranked" "takeover" router.takeover;
        listeners.apiserver = {
          bind = [ "*:${toString cluster.port}" ];
          pool = "apiserver";
          inherit (cluster.loadBalancer) forwarding;
        };
        pools.apiserver = {
          inherit (cluster.loadBalancer) balance;
          check = "apiserver";
          endpoints = byName members.controlPlanes (
            machine: addresses.withPort machine.address cluster.kubernetes.apiserverPort
          );
        };
        checks.apiserver = {
          plugin = "apiserver-healthz";
          interval = "2s";
          timeout = "1s";
          rise = 2;
          fall = 3;
          config.path = "/healthz";
          tls = if ca == null then { verify = false; } else { inherit ca; };
        };
      };
    in
    overlay derived cluster.loadBalancer.settings;

  # The others that a load balancer hears advertisements from.
  peers =
    members: machine:
    map (other: other.address.text) (filter (other: other.name != machine.name) members.loadBalancers);
}
