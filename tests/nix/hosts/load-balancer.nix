# One load balancer alone, and pairs on the firewalls and interfaces that a host may have.
{ modules }:
let
  founding.imports = [
    modules.load-balancer
    ../../../nixos-modules/load-balancer/example.nix
  ];
in
{
  lb-a = {
    imports = [ founding ];
    networking.interfaces.ens32.ipv4.addresses = [
      {
        address = "211.183.3.251";
        prefixLength = 24;
      }
    ];
  };

  # Another name than its node's, another firewall, and more in the document's own words.
  other-name = {
    imports = [ founding ];
    networking.nftables.enable = true;
    services.catamaran = {
      node = "lb-b";
      settings.pools.apiserver.on-down = "keep";
      settings.daemon.drain-timeout = "5m";
    };
  };

  # With a MAC of its own, in both families.
  virtual-mac = {
    imports = [ founding ];
    services.catamaran = {
      node = "lb-a";
      virtualRouters.apiserver.virtualMac = true;
      virtualRouters.six = {
        vrid = 51;
        addresses = [ "2001:db8::250/64" ];
        virtualMac = true;
        interface = "bond0.100";
      };
    };
  };

  # Nothing of elections, files of its own, and its own firewall.
  plain = {
    imports = [ modules.load-balancer ];
    services.catamaran = {
      enable = true;
      openFirewall.listeners = false;
      log.format = "json";
      listeners.web = {
        bind = [ "*:443" ];
        pool = "web";
      };
      pools.web = {
        check = "own";
        endpoints.one = {
          address = "192.0.2.11:8443";
          weight = 2;
        };
      };
      checks.own = {
        plugin = "file:/opt/checks/own.wasm";
        tls.clientCert = "/var/lib/web/client.pem";
        tls.clientKey = "/var/lib/web/client.key";
      };
      daemon.pluginCache = "/var/cache/catamaran";
    };
  };

  # Imported, and asked for nothing.
  disabled.imports = [ modules.default ];
}
