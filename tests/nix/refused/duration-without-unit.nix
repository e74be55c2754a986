{ modules }:
{
  lb = {
    imports = [ modules.load-balancer ];
    services.catamaran = {
      enable = true;
      checks.web = {
        plugin = "tcp";
        interval = "2";
      };
    };
  };
}
