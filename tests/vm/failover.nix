# The address of the founding pair, as a client sees it: handed over, lost with a killed daemon, lost
# with a whole machine; and nothing is left where it was.
{ modules }:
let
  loadBalancer =
    { config, ... }:
    {
      imports = [ modules.load-balancer ];
      services.catamaran = {
        enable = true;
        nodes.lb-a = {
          address = "192.168.1.1";
          interface = "eth1";
          priority = 200;
        };
        nodes.lb-b = {
          address = "192.168.1.2";
          interface = "eth1";
        };
        node = {
          lba = "lb-a";
          lbb = "lb-b";
        }
        .${config.networking.hostName};
        virtualRouters.web = {
          vrid = 51;
          addresses = [ "192.168.1.250/24" ];
          advertisementInterval = "100ms";
        };
        listeners.web = {
          bind = [ "*:80" ];
          pool = "web";
        };
        pools.web = {
          check = "web";
          endpoints.one = "192.168.1.3:8080";
        };
        checks.web.plugin = "http";
      };
    };
in
{
  nodes = {
    lba = loadBalancer;
    lbb = loadBalancer;
    # The third in the alphabet, and so 192.168.1.3.
    server =
      { pkgs, ... }:
      {
        networking.firewall.allowedTCPPorts = [ 8080 ];
        systemd.services.web = {
          wantedBy = [ "multi-user.target" ];
          script = ''
            mkdir -p /tmp/web && cd /tmp/web
            echo served > index.html
            exec ${pkgs.python3}/bin/python3 -m http.server 8080
          '';
        };
      };
  };

  testScript = ''
    asked = "curl --fail --silent --max-time 2 http://192.168.1.250/"
    holds = "ip address show eth1 | grep --fixed-strings 192.168.1.250"

    def moved(to, away):
        server.wait_until_succeeds(asked)
        to.wait_until_succeeds(holds)
        away.wait_until_fails(holds)

    start_all()
    server.wait_for_open_port(8080)
    for machine in [lba, lbb]:
        machine.wait_for_unit("catamaran.service")
    moved(lba, lbb)

    with subtest("handed over, and taken back"):
        lba.succeed("systemctl stop catamaran")
        moved(lbb, lba)
        lba.succeed("systemctl start catamaran")
        moved(lba, lbb)

    with subtest("killed, and nothing left"):
        lba.succeed("systemctl mask --runtime catamaran; systemctl kill --signal=KILL catamaran")
        moved(lbb, lba)
        lba.succeed("systemctl unmask --runtime catamaran; systemctl start catamaran")
        moved(lba, lbb)

    with subtest("a whole machine lost"):
        lba.block()
        server.wait_until_succeeds(asked)
        lbb.wait_until_succeeds(holds)
        lba.unblock()
        moved(lba, lbb)
  '';
}
