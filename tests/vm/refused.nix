# A document that is wrong changes nothing in a daemon that runs, and starts
# none: systemd is told so at once, and does not try again and again.
{ pair, ... }:
{
  nodes = {
    lb_a = pair.balancer pair.document "lb-a";
  };
  testScript = ''
    lb_a.start()
    lb_a.wait_for_unit("catamaran.service")
    document = lb_a.succeed("readlink -f /etc/catamaran/cluster.json").strip()
    lb_a.succeed("rm /etc/catamaran/cluster.json")
    lb_a.succeed(f"sed 's/\"vrid\":51/\"vrid\":0/' {document} >/etc/catamaran/cluster.json")
    process = lb_a.succeed("systemctl show --property=MainPID catamaran")

    lb_a.fail("systemctl reload catamaran")
    lb_a.succeed("journalctl -u catamaran | grep -F vrid")
    assert process == lb_a.succeed("systemctl show --property=MainPID catamaran")
    lb_a.succeed("catamaran status")

    lb_a.succeed("systemctl stop catamaran")
    lb_a.fail("systemctl start catamaran")
    lb_a.succeed("systemctl show --property=ExecMainStatus catamaran | grep -x ExecMainStatus=2")
    lb_a.succeed("systemctl show --property=NRestarts catamaran | grep -x NRestarts=0")
  '';
}
