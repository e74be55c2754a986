# One NixOS configuration for each machine of a description.
#
#     mkCluster { inherit nixpkgs; modules = [ ./common.nix ]; } ./cluster.nix
#
# gives { lb-a = …; master1 = …; }, as `nixosConfigurations` wants it. Machines with `managed = false` are
# left out. What is wrong with the description is said before anything is evaluated.
{
  # A nixpkgs: a flake, or a path.
  nixpkgs,
  # Modules of every machine.
  modules ? [ ],
  # Further arguments of the modules.
  specialArgs ? { },
}:
written:
let
  inherit (builtins)
    attrNames
    filter
    listToAttrs
    mapAttrs
    removeAttrs
    ;

  cluster = import ./.;
  description = if builtins.isAttrs written then written else import written;
  facts = cluster.factsOrThrow description;

  # Modules are for mkCluster; the description that the modules see is plain values.
  plain = description // {
    machines = mapAttrs (_: machine: removeAttrs machine [ "modules" ]) description.machines;
  };

  configuration =
    name:
    import (nixpkgs + "/nixos/lib/eval-config.nix") {
      inherit (facts.hosts.${name}) system;
      inherit specialArgs;
      modules = [
        ../cluster
        {
          catamaran.cluster = plain // {
            host = name;
          };
        }
      ]
      ++ modules
      ++ description.machines.${name}.modules or [ ];
    };
in
listToAttrs (
  map (name: {
    inherit name;
    value = configuration name;
  }) (filter (name: facts.hosts.${name}.managed) (attrNames facts.hosts))
)
