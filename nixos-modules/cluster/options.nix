{ lib, ... }:
let
  inherit (lib) mkOption types;
  cluster = import ../lib;
in
{
  options.catamaran.cluster = cluster.types.optionsOf lib cluster.fields // {
    host = mkOption {
      type = types.nullOr types.str;
      default = null;
      example = "lb-a";
      description = "Which of `machines` this host is. Without it the description does nothing here.";
    };
  };
}
