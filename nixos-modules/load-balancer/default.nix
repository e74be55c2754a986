# `services.catamaran`: one load balancer.
#
#   options ── schema.nix ──► typed ─┐
#   settings ────────────────────────┴─ plan.nix ─► text        document-file.nix, service.nix
#                                                 ─► needs       unit.nix, firewall.nix, kernel.nix
#                                                 ─► conflicts   problems.nix, assertions.nix
{
  imports = [
    ./options.nix
    ./assertions.nix
    ./firewall.nix
    ./kernel.nix
    ./service.nix
  ];
}
