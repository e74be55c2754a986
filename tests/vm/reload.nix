# A switch to another configuration reloads the daemon: the process stays, the
# address stays, and so do connections to what both configurations have.
{ lib, pair, ... }:
let
  more = lib.recursiveUpdate pair.document {
    listeners.second = {
      bind = [ "*:7443" ];
      pool = "apiserver";
    };
  };
  switched = {
    imports = [ (pair.balancer pair.document "lb-a") ];
    specialisation.second-listener.configuration.services.catamaran.settings = lib.mkForce more;
  };
in
{
  nodes = pair.nodes // {
    lb_a = switched;
  };
  testScript = pair.prelude + ''
    worker.succeed("systemctl start held")
    lb_a.wait_until_succeeds("ss -tn state established '( sport = :6443 )' | grep -F 192.0.2.110")
    process = lb_a.succeed("systemctl show --property=MainPID catamaran")
    since = now()

    lb_a.succeed(
        "/run/current-system/specialisation/second-listener/bin/switch-to-configuration test >&2"
    )
    worker.wait_until_succeeds(f"curl --silent --fail --insecure https://{VIRTUAL}:7443/healthz")
    assert process == lb_a.succeed("systemctl show --property=MainPID catamaran")
    has_it(lb_a)
    worker.succeed("systemctl is-active held")
    answered_again(now())
    assert longest_silence(since) < 3
  '';
}
