# The names of our options, as nixpkgs' own module system finds them.
{ root, nixpkgs }:
let
  lib = import (nixpkgs + "/lib");
  evaluated = lib.evalModules {
    modules = [
      (root + "/nixos-modules")
      {
        config._module.check = false;
        config._module.args.pkgs = { };
      }
    ];
  };
  listed = lib.optionAttrSetToDocList evaluated.options;
  isOurs = option: option.visible && !option.internal && lib.head option.loc != "_module";
  withoutQuotes = builtins.replaceStrings [ "\"" ] [ "" ];
in
map (option: withoutQuotes option.name) (lib.filter isOurs listed)
