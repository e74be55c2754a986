# A keepalived as the other router, as during a move from it: the address goes
# from each to the other, and back.
{ lib, pair, ... }:
let
  document = lib.recursiveUpdate pair.document {
    virtual-routers.apiserver = {
      version = 2;
      takeover = "rfc";
    };
  };
  keepalived = {
    imports = [ (pair.host "lb-b") ];
    services.keepalived = {
      enable = true;
      openFirewall = true;
      vrrpInstances.apiserver = {
        interface = "eth1";
        priority = 100;
        virtualRouterId = 51;
        virtualIps = [ { addr = "${pair.virtual}/24"; } ];
      };
    };
  };
in
{
  nodes = {
    lb_a = pair.balancer document "lb-a";
    lb_b = keepalived;
    master1 = pair.standIn "master1";
  };
  testScript = ''
    VIRTUAL = "${pair.virtual}"


    def has_it(machine):
        machine.wait_until_succeeds(f"ip -oneline address show | grep -F ' {VIRTUAL}/'")


    def loses_it(machine):
        machine.wait_until_fails(f"ip -oneline address show | grep -F ' {VIRTUAL}/'")


    start_all()
    lb_a.wait_for_unit("catamaran.service")
    lb_b.wait_for_unit("keepalived.service")
    has_it(lb_a)
    loses_it(lb_b)

    lb_a.succeed("systemctl stop catamaran")
    has_it(lb_b)
    loses_it(lb_a)

    lb_a.succeed("systemctl start catamaran")
    has_it(lb_a)
    loses_it(lb_b)

    lb_a.crash()
    has_it(lb_b)
  '';
}
