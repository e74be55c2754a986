{ modules }:
{
  lb = {
    imports = [ modules.load-balancer ];
    services.catamaran = {
      enable = true;
      pools.web.endpoints.one = "192.0.2.1:80";
      pools.web.algorithm = "round-robin";
    };
  };
}
