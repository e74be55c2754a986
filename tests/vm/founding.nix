# The founding cluster of nixos-modules/examples, its load balancers made from the
# one description, with stand-ins where its apiservers would be.
{
  lib,
  modules,
  pairIn,
  ...
}:
let
  pair = pairIn "211.183.3";

  description = import ../../nixos-modules/examples/founding.nix // {
    interface = "eth1";
  };

  balancer = host: {
    imports = [ modules.cluster ];
    virtualisation.vlans = [ 1 ];
    networking.hostName = lib.mkForce host;
    catamaran.cluster = description // {
      inherit host;
      # Machines of a test have no way out.
      networks = { };
    };
    # What signs the stand-ins' certificates is nobody the document knows.
    services.catamaran.settings.checks.apiserver.tls = lib.mkForce { verify = false; };
  };
in
{
  nodes = pair.nodes // {
    lb_a = balancer "lb-a";
    lb_b = balancer "lb-b";
  };
  testScript = pair.prelude + ''
    with subtest("each host is what the description says"):
        assert "lb-a" == lb_a.succeed("hostname").strip()
        lb_a.succeed("ip -oneline address show dev eth1 | grep -F ' 211.183.3.251/24'")
        lb_b.succeed("ip -oneline address show dev eth1 | grep -F ' 211.183.3.252/24'")

    with subtest("all three are asked in turn"):
        asked = worker.succeed(
            f"for i in 1 2 3; do curl --silent --insecure --include https://{VIRTUAL}:6443/healthz; done"
        )
        for master in ["master1", "master2", "master3"]:
            assert f"x-served-by: {master}" in asked, asked

    with subtest("lb-a is switched off, and everything goes on"):
        since = now()
        lb_a.crash()
        has_it(lb_b)
        answered_again(now())
        assert longest_silence(since) < 10
  '';
}
