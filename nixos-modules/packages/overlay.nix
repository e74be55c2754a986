# Adds `pkgs.catamaran` and what is made of it.
final: _:
let
  packages = import ./. { pkgs = final; };
in
{
  inherit (packages) catamaran;
  catamaran-cluster-secrets = packages.cluster-secrets;
  catamaran-plugins = packages.plugins;
  catamaran-image-load-balancer = packages.image-load-balancer;
  catamaran-image-plugins = packages.image-plugins;
}
