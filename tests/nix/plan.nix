# What the load balancer's module decides for a document, without nixpkgs.
{
  root,
  document,
  node,
}:
let
  module = root + "/nixos-modules/load-balancer";
  plan = import (module + "/plan.nix") {
    typed = { };
    settings = document;
    inherit node;
  };
in
{
  inherit (plan) text needs credentials;
  unit = import (module + "/unit.nix") {
    package = "/usr/local";
    inherit node;
    inherit (plan) needs credentials;
    log = {
      level = "info";
      format = "text";
    };
  };
}
