# As much of nixpkgs' `lib` as declarations of options use: they come out as what they say. Where no
# nixpkgs is, this is enough to list all options; where one is, a test compares the list.
let
  inherit (builtins)
    concatStringsSep
    elemAt
    filter
    isAttrs
    isFunction
    isList
    isPath
    isString
    map
    ;

  show = value: if isString value then "\"${value}\"" else toString value;

  # A type: what people read, and the options below it with the steps that lead there.
  plain = text: {
    inherit text;
    below = null;
    steps = [ ];
  };
  around =
    text: steps: inner:
    plain text
    // {
      inherit (inner) below;
      steps = steps ++ inner.steps;
    };
  textOf = type: type.description or type.text;

  anyOf =
    choices:
    let
      # Directly: a type of trees has itself among its choices.
      with' = filter (type: type.isSubmodule or false) choices;
      text = concatStringsSep " or " (map textOf choices);
    in
    if with' == [ ] then plain text else around text [ ] (elemAt with' 0);
in
rec {
  types = {
    str = plain "text";
    singleLineStr = plain "text on one line";
    lines = plain "text, lines of which are joined";
    bool = plain "true or false";
    int = plain "whole number";
    float = plain "number";
    port = plain "port, 0 to 65535";
    path = plain "path";
    package = plain "package";
    anything = plain "anything";
    raw = plain "anything";
    deferredModule = plain "NixOS module";
    attrs = plain "attribute set";
    ints = {
      between = low: high: plain "whole number from ${toString low} to ${toString high}";
      positive = plain "whole number above 0";
      unsigned = plain "whole number from 0";
      u8 = plain "whole number from 0 to 255";
    };
    strMatching = pattern: plain "text that matches ${pattern}";
    enum = words: plain "one of ${concatStringsSep ", " (map show words)}";
    nullOr = inner: around "null or ${textOf inner}" [ ] inner;
    listOf = inner: around "list of ${textOf inner}" [ "*" ] inner;
    nonEmptyListOf = inner: around "list, not empty, of ${textOf inner}" [ "*" ] inner;
    attrsOf = inner: around "attribute set of ${textOf inner}" [ "<name>" ] inner;
    lazyAttrsOf = types.attrsOf;
    either =
      a: b:
      anyOf [
        a
        b
      ];
    oneOf = anyOf;
    submodule =
      module:
      plain "options below"
      // {
        isSubmodule = true;
        below = module;
      };
    submoduleWith = { modules, ... }: types.submodule modules;
  };

  mkOption = declaration: declaration // { _type = "option"; };
  mkEnableOption =
    what:
    mkOption {
      type = types.bool;
      default = false;
      example = true;
      description = "Whether to enable ${what}.";
    };
  literalExpression = text: {
    _type = "literalExpression";
    inherit text;
  };
  literalMD = literalExpression;

  # What our modules use of the rest, on their way to their options.
  inherit (builtins)
    attrNames
    attrValues
    concatLists
    concatMap
    concatStringsSep
    elem
    filter
    genList
    hasAttr
    head
    isAttrs
    isList
    length
    listToAttrs
    mapAttrs
    ;
  isOption = value: isAttrs value && value._type or null == "option";
  nameValuePair = name: value: { inherit name value; };
  optional = condition: value: if condition then [ value ] else [ ];
  optionals = condition: list: if condition then list else [ ];
  optionalAttrs = condition: set: if condition then set else { };
  optionalString = condition: text: if condition then text else "";
  mkIf = _: content: content;
  mkMerge = contents: builtins.foldl' (all: content: all // content) { } contents;
  mkDefault = value: value;
  mkForce = value: value;

  # Modules, as far as their options go.
  load =
    arguments: module:
    if isPath module || isString module then
      load arguments (import module)
    else if isFunction module then
      load arguments (module arguments)
    else if isList module then
      { imports = module; }
    else
      module;
}
