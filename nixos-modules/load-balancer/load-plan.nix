# The plan of a host's options.
{ config, lib }:
let
  cfg = config.services.catamaran;
in
import ./plan.nix {
  typed = (import ./schema.nix { inherit lib; }).document cfg;
  inherit (cfg) settings node;
}
