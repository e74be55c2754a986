{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkIf;
  cfg = config.services.catamaran;
  plan = import ./load-plan.nix { inherit config lib; };

  file = import ./document-file.nix {
    inherit (pkgs) runCommand;
    inherit (cfg) package;
    inherit (plan) text;
  };
  unit = import ./unit.nix {
    inherit (cfg) package node log;
    inherit (plan) needs credentials;
  };
in
{
  config = mkIf cfg.enable {
    environment.etc."catamaran/cluster.json".source = file;
    # The command line, with its completions and its manual.
    environment.systemPackages = [ cfg.package ];

    systemd.services.catamaran = unit // {
      # Another document is read while connections go on; another unit is started anew.
      reloadTriggers = [ file ];
    };
  };
}
