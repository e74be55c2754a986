# The founding case in small: two load balancers with one virtual address, three
# stand-ins for apiservers and a worker that asks them, on one link. A test
# takes these nodes and changes what it is about.
{
  lib,
  modules,
  # The first three numbers of every address.
  network ? "192.0.2",
}:
rec {
  virtual = "${network}.250";

  addresses = {
    lb-a = "${network}.251";
    lb-b = "${network}.252";
    master1 = "${network}.100";
    master2 = "${network}.101";
    master3 = "${network}.102";
    worker = "${network}.110";
  };

  # A machine on the link.
  host = name: {
    # For its package, whatever the machine is.
    imports = [ modules.load-balancer ];
    virtualisation.vlans = [ 1 ];
    networking.hostName = lib.mkForce name;
    networking.useDHCP = false;
    networking.interfaces.eth1.ipv4.addresses = lib.mkForce [
      {
        address = addresses.${name};
        prefixLength = 24;
      }
    ];
  };

  document = {
    nodes = lib.genAttrs [ "lb-a" "lb-b" ] (name: {
      address = addresses.${name};
      interface = "eth1";
      priority = if name == "lb-a" then 200 else 100;
    });
    virtual-routers.apiserver = {
      vrid = 51;
      addresses = [ "${virtual}/24" ];
    };
    listeners.apiserver = {
      bind = [ "*:6443" ];
      pool = "apiserver";
    };
    pools.apiserver = {
      check = "apiserver";
      endpoints = lib.genAttrs [ "master1" "master2" "master3" ] (name: "${addresses.${name}}:6443");
    };
    checks.apiserver = {
      plugin = "apiserver-healthz";
      interval = "1s";
      tls.verify = false;
    };
  };

  # A load balancer of a document.
  balancer = document: name: {
    imports = [ (host name) ];
    services.catamaran = {
      enable = true;
      node = name;
      settings = document;
    };
  };

  # What answers as an apiserver does, with its host's name in its answers.
  standIn =
    name:
    { config, ... }:
    {
      imports = [ (host name) ];
      networking.firewall.allowedTCPPorts = [ 6443 ];
      systemd.services.stand-in = {
        description = "Stand-in for an apiserver";
        wantedBy = [ "multi-user.target" ];
        after = [ "network.target" ];
        serviceConfig = {
          ExecStart = "${config.services.catamaran.package}/bin/catamaran lab-inside stand-in --alone --listen 0.0.0.0:6443";
          DynamicUser = true;
        };
      };
    };

  # One that asks at the virtual address all the time: the moment of each good
  # answer is a line of /run/asking/answers. `held` keeps one connection open.
  worker =
    { pkgs, ... }:
    {
      imports = [ (host "worker") ];
      environment.systemPackages = [ pkgs.curl ];
      systemd.services.asking = {
        path = [ pkgs.curl ];
        serviceConfig.RuntimeDirectory = "asking";
        script = ''
          while :; do
              curl --silent --fail --insecure --max-time 1 --output /dev/null \
                  https://${virtual}:6443/healthz && date +%s.%N >>/run/asking/answers
          done
        '';
      };
      systemd.services.held = {
        path = [ pkgs.bash ];
        # Ends with the connection.
        script = ''
          exec bash -c 'exec 3<>/dev/tcp/${virtual}/6443; read -r -u 3'
        '';
      };
    };

  nodes = {
    lb_a = balancer document "lb-a";
    lb_b = balancer document "lb-b";
    master1 = standIn "master1";
    master2 = standIn "master2";
    master3 = standIn "master3";
    inherit worker;
  };

  # What every script starts with.
  prelude = ''
    import time

    VIRTUAL = "${virtual}"


    def has_it(machine):
        machine.wait_until_succeeds(f"ip -oneline address show | grep -F ' {VIRTUAL}/'")


    def has_it_not(machine):
        machine.fail(f"ip -oneline address show | grep -F ' {VIRTUAL}/'")


    def answers():
        lines = worker.succeed("cat /run/asking/answers").split()
        return [float(line) for line in lines]


    def longest_silence(since):
        """Seconds between two answers, of those after a moment."""
        times = [at for at in answers() if at >= since]
        assert len(times) > 1, "nobody answered"
        return max(later - at for at, later in zip(times, times[1:]))


    def now():
        return float(worker.succeed("date +%s.%N"))


    def answered_again(since):
        """Until there is an answer that was given after a moment."""
        worker.wait_until_succeeds(
            f"tail -n 1 /run/asking/answers | awk '{{ exit !($1 > {since}) }}'"
        )


    start_all()
    for master in [master1, master2, master3]:
        master.wait_for_open_port(6443)
    for balancer in [lb_a, lb_b]:
        balancer.wait_for_unit("catamaran.service")
        balancer.wait_until_succeeds("catamaran status --ready")
    has_it(lb_a)
    has_it_not(lb_b)
    worker.wait_for_unit("multi-user.target")
    worker.succeed("systemctl start asking")
    worker.wait_until_succeeds("test -s /run/asking/answers")
  '';
}
