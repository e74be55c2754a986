{ modules }:
{
  web-1 = {
    imports = [ modules.load-balancer ];
    services.catamaran = {
      enable = true;
      nodes.lb-a = {
        address = "192.0.2.1";
        interface = "eth0";
      };
      nodes.lb-b = {
        address = "192.0.2.2";
        interface = "eth0";
      };
    };
  };
}
