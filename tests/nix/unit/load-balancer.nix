{ root }:
let
  module = root + "/nixos-modules/load-balancer";
  json = import (module + "/json.nix");
  merge = import (module + "/merge.nix");
  secrets = import (module + "/secrets.nix");
  needsOf = import (module + "/needs.nix");
  rules = import (module + "/firewall-rules.nix");
  problemsOf = import (module + "/problems.nix");
  schema = import (module + "/schema.nix") { lib = import ../stand-ins/lib.nix; };

  pair = {
    nodes.lb-a = {
      address = "192.0.2.1";
      interface = "eth0";
    };
    nodes.lb-b = {
      address = "192.0.2.2";
      interface = "eth1";
    };
    virtual-routers.web = {
      vrid = 7;
      addresses = [ "192.0.2.250/24" ];
    };
  };
  withRouter = router: pair // { virtual-routers.web = pair.virtual-routers.web // router; };
  needs =
    document:
    needsOf {
      inherit document;
      node = "lb-a";
    };

  plain = {
    host = "lb-a";
    node = "lb-a";
    document = pair;
    conflicts = [ ];
    needs = needs pair;
    addresses = { };
    reversePath = true;
    keepalived = { };
  };
  problems = changes: (problemsOf (plain // changes)).problems;
in
{
  "json has one key a line and nothing for empty tables" = {
    expr = json {
      b = [
        1
        "a\"b"
      ];
      a = { };
      c.d = true;
      e = [ ];
      f = null;
    };
    expected = ''
      {
        "a": {},
        "b": [
          1,
          "a\"b"
        ],
        "c": {
          "d": true
        },
        "e": [],
        "f": null
      }
    '';
  };

  "documents are merged deeply" = {
    expr = merge { a.b.c = 1; } {
      a.b.d = 2;
      e = 3;
    };
    expected = {
      document = {
        a.b.c = 1;
        a.b.d = 2;
        e = 3;
      };
      conflicts = [ ];
    };
  };

  "same value twice is no conflict and another one is" = {
    expr =
      (merge
        {
          a.b = 1;
          c = [ 1 ];
        }
        {
          a.b = 2;
          c = [ 1 ];
        }
      ).conflicts;
    expected = [
      {
        place = "a.b";
        values = [
          1
          2
        ];
      }
    ];
  };

  "table in the place of a value is a conflict" = {
    expr = map (conflict: conflict.place) (merge { a = 1; } { a.b = 2; }).conflicts;
    expected = [ "a" ];
  };

  "files for root alone become credentials and those of the store stay" = {
    expr = secrets {
      checks.api.tls = {
        client-key = "/run/secrets/key";
        ca = "${builtins.storeDir}/ca.pem";
        verify = true;
      };
      checks.plain.plugin = "tcp";
      registries."registry.example.test:5000" = {
        auth-file = "/run/secrets/login";
        plain-http = true;
      };
      virtual-routers.web.authentication.pass-file = "/run/secrets/vrrp";
    };
    expected = {
      document = {
        checks.api.tls = {
          client-key = "/run/credentials/catamaran.service/check-api-client-key";
          ca = "${builtins.storeDir}/ca.pem";
          verify = true;
        };
        checks.plain.plugin = "tcp";
        registries."registry.example.test:5000" = {
          auth-file = "/run/credentials/catamaran.service/registry-registry.example.test_5000-auth-file";
          plain-http = true;
        };
        virtual-routers.web.authentication.pass-file = "/run/credentials/catamaran.service/virtual-router-web-pass-file";
      };
      credentials = {
        check-api-client-key = "/run/secrets/key";
        "registry-registry.example.test_5000-auth-file" = "/run/secrets/login";
        virtual-router-web-pass-file = "/run/secrets/vrrp";
      };
    };
  };

  "empty document needs nothing" = {
    expr = needsOf {
      document = { };
      node = null;
    };
    expected = {
      elections = false;
      lowPorts = false;
      ports = [ ];
      peers = [ ];
      virtualMacOn = [ ];
      virtualMacOnIPv4 = [ ];
      files = [ ];
      cache = null;
    };
  };

  "ports are opened once and not for loopback" = {
    expr =
      let
        found = needs {
          listeners.web.bind = [
            "*:80"
            "127.0.0.1:22"
            "[::1]:23"
          ];
          listeners.more.bind = [
            "[2001:db8::1]:443"
            "192.0.2.1:80"
          ];
        };
      in
      {
        inherit (found) ports lowPorts;
      };
    expected = {
      ports = [
        443
        80
      ];
      lowPorts = true;
    };
  };

  "high ports want no right" = {
    expr = (needs { listeners.api.bind = [ "*:6443" ]; }).lowPorts;
    expected = false;
  };

  "advertisements come from the other nodes on the own interface" = {
    expr = (needs pair).peers;
    expected = [
      {
        family = "ipv4";
        interface = "eth0";
        source = "192.0.2.2";
      }
    ];
  };

  "advertisements on another interface come from addresses that nobody knows" = {
    expr =
      (needs (withRouter {
        interface = "eth7";
      })).peers;
    expected = [
      {
        family = "ipv4";
        interface = "eth7";
        source = null;
      }
    ];
  };

  "advertisements of IPv6 come from link-local addresses" = {
    expr =
      (needs (withRouter {
        addresses = [ "2001:db8::250/64" ];
      })).peers;
    expected = [
      {
        family = "ipv6";
        interface = "eth0";
        source = "fe80::/10";
      }
    ];
  };

  "rules name interface and source, or the group" = {
    expr = rules [
      {
        family = "ipv4";
        interface = "eth0";
        source = "192.0.2.2";
      }
      {
        family = "ipv4";
        interface = "eth7";
        source = null;
      }
      {
        family = "ipv6";
        interface = "eth0";
        source = "fe80::/10";
      }
    ];
    expected = {
      iptables = ''
        iptables -w -A nixos-fw -p 112 -i eth0 -s 192.0.2.2 -j nixos-fw-accept
        iptables -w -A nixos-fw -p 112 -i eth7 -d 224.0.0.18 -j nixos-fw-accept
        ip6tables -w -A nixos-fw -p 112 -i eth0 -s fe80::/10 -j nixos-fw-accept
      '';
      nftables = ''
        iifname "eth0" ip saddr 192.0.2.2 meta l4proto 112 accept
        iifname "eth7" ip daddr 224.0.0.18 meta l4proto 112 accept
        iifname "eth0" ip6 saddr fe80::/10 meta l4proto 112 accept
      '';
    };
  };

  "virtual MAC wants its interface to be silent in IPv4 only" = {
    expr =
      let
        found = needs {
          inherit (pair) nodes;
          virtual-routers.four = pair.virtual-routers.web // {
            virtual-mac = true;
            interface = "eth4";
          };
          virtual-routers.six = {
            addresses = [ "2001:db8::250" ];
            virtual-mac = true;
          };
        };
      in
      {
        inherit (found) virtualMacOn virtualMacOnIPv4;
      };
    expected = {
      virtualMacOn = [
        "eth0"
        "eth4"
      ];
      virtualMacOnIPv4 = [ "eth4" ];
    };
  };

  "plugins and folders of tracked files are read" = {
    expr =
      (needs {
        checks.own.plugin = "file:/opt/own.wasm@sha256:00";
        checks.standard.plugin = "tcp";
        virtual-routers.web.track = [
          { file = "/run/maintenance/fit"; }
          { pool = "web"; }
        ];
      }).files;
    expected = [
      "/opt/own.wasm"
      "/run/maintenance"
    ];
  };

  "options make the document that they are named after" = {
    expr = schema.document {
      nodes.lb-a = {
        address = "192.0.2.1";
        interface = "eth0";
        priority = null;
      };
      virtualRouters.web = {
        vrid = 7;
        addresses = [ "192.0.2.250/24" ];
        advertisementInterval = "100ms";
        announce = {
          after = [ "0s" ];
          refresh = null;
        };
        track = [
          {
            pool = "web";
            weight = -10;
            file = null;
          }
        ];
      };
      listeners = { };
      pools.web.endpoints = {
        one = "192.0.2.11:80";
        two = {
          address = "192.0.2.12:80";
          maxConnections = 7;
        };
      };
      checks.web = {
        plugin = "http";
        config = {
          some-key = {
            x = null;
          };
        };
      };
      daemon.threads = null;
    };
    expected = {
      nodes.lb-a = {
        address = "192.0.2.1";
        interface = "eth0";
      };
      virtual-routers.web = {
        vrid = 7;
        addresses = [ "192.0.2.250/24" ];
        advertisement-interval = "100ms";
        announce.after = [ "0s" ];
        track = [
          {
            pool = "web";
            weight = -10;
          }
        ];
      };
      pools.web.endpoints = {
        one = "192.0.2.11:80";
        two = {
          address = "192.0.2.12:80";
          max-connections = 7;
        };
      };
      checks.web = {
        plugin = "http";
        # What a plugin is told is its own business.
        config.some-key.x = null;
      };
    };
  };

  "host in order has no problems" = {
    expr = problems { addresses.eth0 = [ "192.0.2.1" ]; };
    expected = [ ];
  };

  "host that is no node is told which there are" = {
    expr = problems { node = null; } ++ problems { node = "lb-c"; };
    expected = [
      "Host lb-a: services.catamaran.node is not set, and no node has the host's name; services.catamaran.nodes has lb-a, lb-b: set services.catamaran.node to the one that this host is."
      "Host lb-a: services.catamaran.node is \"lb-c\"; services.catamaran.nodes has lb-a, lb-b: name one of them, or add it."
    ];
  };

  "host with another node's address is told so" = {
    expr = problems { addresses.eth0 = [ "192.0.2.2" ]; };
    expected = [
      "Host lb-a: services.catamaran.nodes.lb-a.address is \"192.0.2.1\", and networking.interfaces.eth0 has 192.0.2.2: correct one of the two, or services.catamaran.node, if this host is another node."
    ];
  };

  "virtual address that the host always has is refused" = {
    expr = problems {
      addresses.eth0 = [
        "192.0.2.1"
        "192.0.2.250"
      ];
    };
    expected = [
      "Host lb-a: networking.interfaces.eth0 has 192.0.2.250, which is a virtual address (services.catamaran.virtualRouters.web.addresses): remove it there; the Active node gets it when it is elected."
    ];
  };

  "owner has its virtual address" = {
    expr = problems {
      document = withRouter { addresses = [ "192.0.2.1/24" ]; };
      addresses.eth0 = [ "192.0.2.1" ];
    };
    expected = [ ];
  };

  "strict reverse path is refused with a virtual MAC alone" = {
    expr =
      let
        document = withRouter { virtual-mac = true; };
        with' =
          reversePath:
          problems {
            inherit document reversePath;
            needs = needs document;
          };
      in
      with' "loose" ++ with' false ++ with' "strict";
    expected = [
      "Host lb-a: networking.firewall.checkReversePath is \"strict\", and with services.catamaran.virtualRouters.NAME.virtualMac packets come in on another interface than answers go out on (eth0): set it to \"loose\"."
    ];
  };
}
