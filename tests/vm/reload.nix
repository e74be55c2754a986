# Another document is read while a connection goes on; a wrong one changes nothing.
{ modules }:
{
  nodes.lb =
    { lib, pkgs, ... }:
    {
      imports = [ modules.load-balancer ];
      environment.systemPackages = [
        pkgs.netcat
        pkgs.socat
      ];
      services.catamaran = {
        enable = true;
        listeners.echo = {
          bind = [ "127.0.0.1:7" ];
          pool = "echo";
        };
        pools.echo.endpoints.one = "127.0.0.1:7007";
      };
      systemd.services.echo = {
        wantedBy = [ "multi-user.target" ];
        serviceConfig.ExecStart = "${pkgs.socat}/bin/socat TCP-LISTEN:7007,fork,reuseaddr EXEC:cat";
      };
      specialisation.more.configuration.services.catamaran.listeners.more = {
        bind = [ "127.0.0.1:8" ];
        pool = "echo";
      };
      # To be read in place of the one that was checked when it was built.
      environment.etc."wrong.json".text = lib.mkDefault ''{ "listeners": { "echo": {} } }'';
    };

  testScript = ''
    lb.wait_for_unit("catamaran.service")
    lb.wait_for_open_port(7)
    lb.wait_for_open_port(7007)
    started = lb.succeed("systemctl show --property=MainPID --value catamaran")

    # A connection that stays open, told what to say through a pipe.
    lb.succeed("mkfifo /tmp/say; (exec 3<>/tmp/say; nc 127.0.0.1 7 <&3 >/tmp/heard) >&2 &")
    lb.succeed("echo before > /tmp/say")
    lb.wait_until_succeeds("grep before /tmp/heard")

    with subtest("the switch reloads"):
        lb.succeed("/run/current-system/specialisation/more/bin/switch-to-configuration test")
        lb.wait_for_open_port(8)
        lb.succeed("echo after > /tmp/say")
        lb.wait_until_succeeds("grep after /tmp/heard")
        assert started == lb.succeed("systemctl show --property=MainPID --value catamaran")

    with subtest("a wrong document is refused, with its mistakes"):
        lb.succeed("mount --bind /etc/wrong.json /etc/catamaran/cluster.json")
        lb.fail("systemctl reload catamaran")
        lb.succeed("journalctl --unit=catamaran | grep 'bind. is missing'")
        lb.succeed("echo still > /tmp/say")
        lb.wait_until_succeeds("grep still /tmp/heard")
  '';
}
