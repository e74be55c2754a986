# Types of a description: how a value is read, what is said when it cannot be, and which NixOS option
# type shows it.
#
# `read path value` gives { value; problems; }: the value as the derivation wants it, or null and what is
# wrong with it, each as { path; says; }, which one behind the other are a sentence. Reading never throws,
# so that everything wrong is said at once.
# `optionType` takes the library of nixpkgs from whoever has one; nothing else here knows nixpkgs.
let
  inherit (builtins)
    all
    attrNames
    concatMap
    elem
    filter
    genList
    isAttrs
    isBool
    isInt
    isList
    isPath
    isString
    length
    mapAttrs
    match
    stringLength
    ;

  addresses = import ./addresses.nix;
  text = import ./text.nix;
  inherit (text)
    enumerate
    nearest
    quote
    show
    startsWith
    ;

  good = value: {
    inherit value;
    problems = [ ];
  };
  wrong = path: says: {
    value = null;
    problems = [ { inherit path says; } ];
  };

  # A value that is judged as a whole. `parse` gives null for what `expected` does not describe.
  leaf =
    {
      expected,
      parse,
      optionType,
    }:
    {
      inherit optionType;
      read =
        path: value:
        let
          parsed = parse value;
        in
        if parsed == null then wrong path " = ${show value}: expected ${expected}" else good parsed;
    };

  when = condition: value: if condition value then value else null;

  string =
    expected: pattern:
    leaf {
      inherit expected;
      parse = when (value: isString value && match pattern value != null);
      optionType = lib: lib.types.str;
    };

  # Releases up to 20.09 have no `anything`.
  anythingOf = lib: lib.types.anything or lib.types.unspecified;

  join = path: name: if path == "" then name else "${path}.${name}";
in
rec {
  inherit string;

  integer =
    low: high:
    leaf {
      expected = "a whole number from ${toString low} to ${toString high}";
      parse = when (value: isInt value && value >= low && value <= high);
      optionType = lib: lib.types.int;
    };

  port = integer 1 65535;

  flag = leaf {
    expected = "true or false";
    # null would be "cannot be read", and false must not be.
    parse = value: if isBool value then value else null;
    optionType = lib: lib.types.bool;
  };

  word = words: {
    optionType = lib: lib.types.str;
    read =
      path: value:
      let
        meant = if isString value then nearest value words else null;
        way =
          if meant != null then "did you mean ${quote meant}?" else "expected ${enumerate (map quote words)}";
      in
      if elem value words then good value else wrong path " = ${show value}: ${way}";
  };

  address = leaf {
    expected = "an address that a machine can have, such as \"10.0.0.1\" or \"fd00::1\"";
    parse =
      value:
      let
        parsed = addresses.parse value;
      in
      if parsed != null && addresses.isHost parsed then parsed else null;
    optionType = lib: lib.types.str;
  };

  # An address with the length of its network's prefix.
  addressInNetwork = leaf {
    expected = "an address with the length of its network's prefix, such as \"10.0.0.250/24\"";
    parse =
      value:
      let
        parsed = addresses.parsePrefix value;
      in
      if parsed != null && addresses.isHost parsed.address then parsed else null;
    optionType = lib: lib.types.str;
  };

  network = leaf {
    expected = "a network without bits behind its prefix, such as \"10.0.0.0/24\"";
    parse =
      value:
      let
        parsed = addresses.parsePrefix value;
      in
      if parsed != null && addresses.isNetwork parsed then parsed else null;
    optionType = lib: lib.types.str;
  };

  duration = string "a time with its unit, such as \"1s\" or \"100ms\"" "([0-9]+(ms|s|m|h))+";

  # A DNS label: what a node and a host may be called.
  isLabel = value: stringLength value <= 63 && match "[a-z0-9]([a-z0-9-]*[a-z0-9])?" value != null;

  domain = string "a DNS name in small letters, such as \"api.example.org\"" "[a-z0-9]([a-z0-9.-]*[a-z0-9])?";

  interface = string "the name of a network interface, at most 15 bytes, such as \"ens32\"" "[^/: \n]{1,15}";

  # A secret on the machine. A Nix path would be copied into the store, where everybody reads it.
  secret = {
    optionType = lib: lib.types.str;
    read =
      path: value:
      if isPath value || (isString value && startsWith builtins.storeDir value) then
        wrong path " = ${show value}: a secret in the Nix store is no secret; write where it will be on the machine, as text: \"/run/secrets/…\""
      else if isString value && startsWith "/" value then
        good value
      else
        wrong path " = ${show value}: expected the absolute path of a file on the machine, such as \"/run/secrets/…\"";
  };

  # A file that may be in the store: a path, or a package.
  file = leaf {
    expected = "a file: ./manifest.yaml, or a derivation that makes one";
    parse = when (
      value:
      isPath value || (isString value && startsWith "/" value) || (isAttrs value && value ? outPath)
    );
    optionType = lib: lib.types.either lib.types.path lib.types.str;
  };

  # What is handed on as it is.
  anything = {
    optionType = anythingOf;
    read = _: good;
  };

  attributes = leaf {
    expected = "a set of attributes";
    parse = when isAttrs;
    optionType = lib: lib.types.attrsOf (anythingOf lib);
  };

  listOf = type: {
    optionType = lib: lib.types.listOf (type.optionType lib);
    read =
      path: value:
      let
        elements = genList (index: type.read "${path}[${toString index}]" (builtins.elemAt value index)) (
          length value
        );
      in
      if !isList value then
        wrong path " = ${show value}: expected a list, [ … ]"
      else
        {
          # With an element that cannot be read nothing can be said of the list.
          value =
            if all (element: element.value != null) elements then
              map (element: element.value) elements
            else
              null;
          problems = concatMap (element: element.problems) elements;
        };
  };

  # Values by names of the user's choice.
  named =
    { isName, expectedName }:
    type: {
      optionType = lib: lib.types.attrsOf (type.optionType lib);
      read =
        path: value:
        let
          entries = mapAttrs (name: type.read (join path name)) value;
          problemsOf =
            name:
            (
              if isName name then
                [ ]
              else
                (wrong (join path name) ": the name ${quote name} is not ${expectedName}").problems
            )
            ++ entries.${name}.problems;
        in
        if !isAttrs value then
          wrong path " = ${show value}: expected a set of attributes, { … }"
        else
          {
            value =
              if all (name: entries.${name}.value != null) (attrNames value) then
                mapAttrs (_: entry: entry.value) entries
              else
                null;
            problems = concatMap problemsOf (attrNames value);
          };
    };

  # Fields as NixOS options. What is required may be null there, and is missed when it is read.
  optionsOf =
    lib:
    mapAttrs (
      _: field:
      lib.mkOption (
        {
          type = lib.types.nullOr (field.type.optionType lib);
          default = field.default or null;
          inherit (field) description;
        }
        // (if field ? example then { inherit (field) example; } else { })
      )
    );

  # Known keys, each with { type; description; } and one of `default` (as one would write it; null for
  # none) and `required` (how to write it), and perhaps an `example`.
  record = fields: {
    inherit fields;
    optionType = lib: lib.types.submodule { options = optionsOf lib fields; };
    read =
      path: value:
      let
        known = attrNames fields;
        unknown = filter (name: !(elem name known)) (attrNames value);
        explain =
          name:
          let
            meant = nearest name known;
            way = if meant == null then "known are ${enumerate known}" else "did you mean ${quote meant}?";
          in
          {
            path = join path name;
            says = ": there is no such key; ${way}";
          };
        readField =
          name: field:
          let
            written = value.${name} or null;
            chosen = if written == null then field.default or null else written;
          in
          if chosen != null then
            field.type.read (join path name) chosen
          else if field ? required then
            wrong (join path name) " is missing; write ${name} = ${field.required};"
          else
            good null;
        entries = mapAttrs readField fields;
      in
      if !isAttrs value then
        wrong path " = ${show value}: expected a set of attributes, { … }"
      else
        {
          value = mapAttrs (_: entry: entry.value) entries;
          problems = map explain unknown ++ concatMap (name: entries.${name}.problems) known;
        };
  };
}
