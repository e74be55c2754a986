{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkEnableOption mkOption types;
  cfg = config.services.catamaran;
  schema = import ./schema.nix { inherit lib; };
  packages = import ../packages { inherit pkgs; };
in
{
  # The document's own tables are options made from its schema: nodes, virtualRouters, listeners,
  # pools, checks and daemon.
  options.services.catamaran = schema.options // {
    enable = mkEnableOption "Catamaran, a load balancer and VRRP router";

    package = mkOption {
      type = types.package;
      default = pkgs.catamaran or packages.catamaran;
      defaultText = "pkgs.catamaran, or without the overlay the package of this source tree";
      description = ''
        The package that is run, and that checks the document when the system is built.
      '';
    };

    node = mkOption {
      type = types.nullOr types.str;
      default =
        if (cfg.document.nodes or { }) ? ${config.networking.hostName} then
          config.networking.hostName
        else
          null;
      defaultText = "config.networking.hostName, where a node has that name";
      example = "lb-a";
      description = ''
        Which of `services.catamaran.nodes` this host is. The same nodes are written on all of them.
      '';
    };

    settings = mkOption {
      type = types.attrsOf schema.json;
      default = { };
      example = {
        pools.apiserver.on-down = "keep";
      };
      description = ''
        The document, or a part of it, in its own words: keys as `catamaran schema` has them. It is
        merged with the options beside it; a key that has one value here and another one there is
        refused.
      '';
    };

    openFirewall = {
      virtualRouters = mkOption {
        type = types.bool;
        default = true;
        description = ''
          Let the advertisements of the other nodes in (IP protocol 112), and nobody else's. A node that
          hears none takes the virtual addresses although another has them.
        '';
      };
      listeners = mkOption {
        type = types.bool;
        default = true;
        description = ''
          Let everybody connect to the ports of `services.catamaran.listeners`, except those that are
          bound to loopback addresses alone.
        '';
      };
    };

    log = {
      level = mkOption {
        type = types.enum [
          "error"
          "warn"
          "info"
          "debug"
          "trace"
        ];
        default = "info";
        description = "Log this level and what matters more. The end of a connection is `info`.";
      };
      format = mkOption {
        type = types.enum [
          "text"
          "json"
        ];
        default = "text";
        description = "How lines of the log look: for people, or one JSON object a line.";
      };
    };

    document = mkOption {
      type = types.attrsOf schema.json;
      internal = true;
      readOnly = true;
      description = "The document, merged: for modules and tests that want to look at it.";
    };
  };

  config.services.catamaran.document = (import ./load-plan.nix { inherit config lib; }).document;
}
