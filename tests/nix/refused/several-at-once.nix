# The other node's address, the virtual one that it always has, a key that everybody can read, a strict
# firewall, a folder out of sight, and a keepalived that was forgotten.
{ modules }:
{
  lb-a = {
    imports = [ modules.load-balancer ];
    networking.interfaces.eth0.ipv4.addresses = [
      {
        address = "192.0.2.2";
        prefixLength = 24;
      }
      {
        address = "192.0.2.250";
        prefixLength = 24;
      }
    ];
    networking.firewall.checkReversePath = "strict";
    services.keepalived = {
      enable = true;
      vrrpInstances.api = {
        interface = "eth0";
        virtualRouterId = 51;
      };
    };
    services.catamaran = {
      enable = true;
      nodes.lb-a = {
        address = "192.0.2.1";
        interface = "eth0";
      };
      virtualRouters.api = {
        vrid = 51;
        addresses = [ "192.0.2.250/24" ];
        virtualMac = true;
        track = [ { file = "/tmp/maintenance/fit"; } ];
      };
      checks.api = {
        plugin = "apiserver-healthz";
        tls.clientKey = "${builtins.toFile "client.key" "secret"}";
      };
    };
  };
}
