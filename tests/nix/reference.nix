# The reference of all options, as Markdown: from the modules themselves, without nixpkgs.
{ root }:
let
  inherit (builtins)
    attrNames
    concatMap
    concatStringsSep
    filter
    foldl'
    hasAttr
    isAttrs
    isBool
    isFunction
    isInt
    isList
    isString
    map
    match
    replaceStrings
    toJSON
    ;
  lib = import ./stand-ins/lib.nix;

  # Nothing that an option says of itself may depend on a host.
  absent = name: throw "an option's declaration looks at ${name}: give it a defaultText";
  arguments = {
    inherit lib;
    config = absent "config";
    options = absent "options";
    pkgs = absent "pkgs";
    name = "‹name›";
  };

  # The options of a module and of those that it imports.
  optionsOf =
    module:
    let
      loaded = lib.load arguments module;
      own =
        if loaded ? options || loaded ? imports || loaded ? config then loaded.options or { } else { };
    in
    foldl' merged own (map optionsOf (loaded.imports or [ ]));
  merged =
    a: b:
    a
    // b
    // builtins.listToAttrs (
      map (name: {
        inherit name;
        value = merged a.${name} b.${name};
      }) (filter (name: hasAttr name b && !(lib.isOption a.${name})) (attrNames a))
    );

  # Depth first, in alphabetical order.
  listed =
    path: options:
    concatMap (
      name:
      let
        here = path ++ [ name ];
        option = options.${name};
        inside = listed (here ++ option.type.steps) (optionsOf option.type.below);
      in
      if !(lib.isOption option) then
        listed here option
      else if option.internal or false then
        [ ]
      else
        [ (option // { path = here; }) ] ++ (if option.type.below or null == null then [ ] else inside)
    ) (attrNames options);

  # A value as Nix has it.
  nix =
    value:
    if isAttrs value && value._type or null == "literalExpression" then
      value.text
    else if isString value then
      replaceStrings [ "\${" ] [ "\\\${" ] (toJSON value)
    else if isInt value || isBool value || value == null then
      toJSON value
    else if isList value then
      if value == [ ] then "[ ]" else "[ ${concatStringsSep " " (map nix value)} ]"
    else if value == { } then
      "{ }"
    else
      "{ ${concatStringsSep " " (map (name: "${key name} = ${nix value.${name}};") (attrNames value))} }";
  key = name: if match "[A-Za-z_][A-Za-z0-9_'-]*" name != null then name else toJSON name;

  withoutEnd = text: builtins.elemAt (match "(.*[^\n])\n*" text) 0;

  entry =
    option:
    let
      name = concatStringsSep "." option.path;
      default =
        if option ? defaultText then
          if isString option.defaultText then option.defaultText else "`${option.defaultText.text}`"
        else if option ? default then
          "`${nix option.default}`"
        else
          null;
      facts = [
        "Type: ${option.type.description or option.type.text}"
      ]
      ++ (if default == null then [ "It has to be set." ] else [ "Default: ${default}" ])
      ++ (if option ? example then [ "Example: `${nix option.example}`" ] else [ ]);
    in
    ''
      ### `${name}`

      ${withoutEnd option.description}

      ${concatStringsSep "\n" (map (fact: "- ${fact}") facts)}
    '';

  all = listed [ ] (optionsOf (root + "/nixos-modules"));
in
{
  names = map (option: concatStringsSep "." option.path) all;
  text = ''
    # Options

    Made from the modules by `BLESS=1 cargo test --release --test nix`; a test tells when it is out of date.

    ${concatStringsSep "\n" (map entry all)}'';
}
