# The names of our options, as nixpkgs' own module system finds them.
{ root, nixpkgs }:
let
  lib = import (nixpkgs + "/lib");
  inherit
    (import (nixpkgs + "/nixos/lib/eval-config.nix") {
      system = "x86_64-linux";
      modules = [ (root + "/nixos-modules") ];
    })
    options
    ;
  listed = lib.optionAttrSetToDocList {
    inherit (options) catamaran;
    services.catamaran = options.services.catamaran;
  };
  isOurs = option: option.visible && !option.internal && !(lib.elem "_module" option.loc);
  withoutQuotes = builtins.replaceStrings [ "\"" ] [ "" ];
in
map (option: withoutQuotes option.name) (lib.filter isOurs listed)
