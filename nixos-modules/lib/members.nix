# Who is what: the machines of a description that was read, by role, in the order of their names.
let
  inherit (builtins)
    attrNames
    elem
    filter
    head
    map
    ;
in
cluster:
let
  written = if cluster.machines == null then { } else cluster.machines;

  all = map (
    name:
    let
      machine = written.${name};
    in
    machine
    // {
      inherit name;
      # What could not be read has been said already.
      roles = if machine.roles == null then [ ] else machine.roles;
      interface = if machine.interface == null then cluster.interface else machine.interface;
    }
  ) (attrNames written);

  having = role: filter (machine: elem role machine.roles) all;
in
rec {
  inherit all having;
  loadBalancers = having "load-balancer";
  controlPlanes = having "control-plane";
  workers = having "worker";
  etcd = having "etcd";

  # Machines with a kubelet.
  nodes = filter (machine: elem "control-plane" machine.roles || elem "worker" machine.roles) all;

  # Where etcd runs, whichever topology.
  etcdMembers = if cluster.etcd.topology or null == "external" then etcd else controlPlanes;

  first = if controlPlanes == [ ] then null else head controlPlanes;
}
