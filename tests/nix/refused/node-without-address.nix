{ modules }:
{
  lb-a = {
    imports = [ modules.load-balancer ];
    services.catamaran = {
      enable = true;
      nodes.lb-a.interface = "eth0";
    };
  };
}
