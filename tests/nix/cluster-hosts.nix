# The machines of a description as modules, for a directory of hosts.
{ modules }:
file:
let
  description = import file;
in
builtins.mapAttrs (host: _: {
  imports = [
    modules.cluster
    ./old-release.nix
  ];
  catamaran.cluster = description // {
    inherit host;
  };
}) description.machines
