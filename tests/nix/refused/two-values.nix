{ modules }:
{
  lb = {
    imports = [ modules.load-balancer ];
    services.catamaran = {
      enable = true;
      pools.web.endpoints.one = "192.0.2.1:80";
      settings.pools.web.endpoints.one = "192.0.2.2:80";
    };
  };
}
