# The JSON Schema of the document (`catamaran schema`), as NixOS options and back.
#
# `schema.json` is the daemon's own description of what it reads: keys, types, ranges, defaults. Each
# key becomes an option of the same name in Nix's spelling (`advertisement-interval` is
# `advertisementInterval`), so that no option can lag behind the daemon.
{ lib }:
let
  inherit (builtins)
    any
    attrNames
    attrValues
    concatLists
    concatStringsSep
    elem
    filter
    fromJSON
    head
    isAttrs
    isList
    isString
    listToAttrs
    map
    mapAttrs
    readFile
    replaceStrings
    split
    stringLength
    substring
    tail
    ;
  inherit (lib) mkOption types;

  schema = fromJSON (readFile ./schema.json);

  # "#/$defs/Node" leads to the definition; whoever refers to it may describe it anew.
  resolve =
    node:
    if node ? "$ref" then
      schema."$defs".${referred node} // removeAttrs node [ "$ref" ]
    else if alternatives node != [ ] && tail (alternatives node) == [ ] then
      resolve (head (alternatives node)) // removeAttrs node [ "anyOf" ]
    else
      node;
  referred = node: substring (stringLength "#/$defs/") (-1) node."$ref";

  # What a value may be besides null, which stands for a key that is left out.
  alternatives = node: filter (other: (other.type or null) != "null") (node.anyOf or [ ]);
  kindOf =
    node:
    let
      kinds = filter (kind: kind != "null") (if isList node.type then node.type else [ node.type ]);
    in
    if node ? type then head kinds else null;

  isTable = node: kindOf node == "object" && node ? properties;
  isNamed = node: kindOf node == "object" && isAttrs (node.additionalProperties or null);

  upperFirst =
    word:
    let
      letters = "abcdefghijklmnopqrstuvwxyz";
      upper = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
      all = text: map (at: substring at 1 text) (builtins.genList (at: at) (stringLength text));
    in
    replaceStrings (all letters) (all upper) (substring 0 1 word) + substring 1 (-1) word;
  wordsOf = key: filter isString (split "-" key);
  nixName = key: head (wordsOf key) + concatStringsSep "" (map upperFirst (tail (wordsOf key)));

  # Keys of the document, in descriptions, become names of options.
  allKeys = filter (key: tail (wordsOf key) != [ ]) (
    concatLists (
      map (table: attrNames (table.properties or { })) ([ schema ] ++ attrValues schema."$defs")
    )
  );
  inNix =
    replaceStrings
      (concatLists (
        map (key: [
          "`${key}`"
          "`${key} "
        ]) allKeys
      ))
      (
        concatLists (
          map (key: [
            "`${nixName key}`"
            "`${nixName key} "
          ]) allKeys
        )
      );

  # Values whose unit is part of the text; the daemon knows which ones make sense.
  units =
    let
      duration = "([0-9]+(h|m|s|ms))+";
      unit = pattern: description: example: {
        type = types.strMatching pattern // {
          inherit description;
        };
        inherit example;
      };
    in
    {
      Duration = unit duration "duration with its unit" "1s500ms";
      DurationOrOff = unit "off|${duration}" "duration with its unit, or \"off\"" "1m30s";
      Size = unit "[0-9]+(B|KiB|MiB|GiB)" "size with its unit" "16MiB";
    };

  # Anything that JSON can say.
  json =
    let
      value = types.nullOr (
        types.oneOf [
          types.bool
          types.int
          types.float
          types.str
          (types.attrsOf value)
          (types.listOf value)
        ]
      );
    in
    value // { description = "value of JSON"; };

  unitOf =
    node:
    let
      references = filter (other: other ? "$ref" && units ? ${referred other}) (
        [ node ] ++ alternatives node
      );
    in
    if references == [ ] then null else units.${referred (head references)};

  # The type of a value that is there.
  typeOf =
    node:
    let
      plain = resolve node;
    in
    if unitOf node != null then
      (unitOf node).type
    else if plain ? oneOf && any (choice: choice ? const) plain.oneOf then
      types.enum (map (choice: choice.const) plain.oneOf)
    else if alternatives plain != [ ] then
      types.oneOf (map typeOf (alternatives plain))
    else if isTable plain then
      types.submodule { options = optionsOf plain; }
    else if isNamed plain then
      types.attrsOf (typeOf plain.additionalProperties)
    else
      {
        object = types.attrsOf json;
        array = types.listOf (typeOf plain.items);
        string = types.str;
        boolean = types.bool;
        integer =
          if plain ? minimum && plain ? maximum then
            types.ints.between plain.minimum plain.maximum
          else
            types.int;
      }
      .${kindOf plain};

  optionOf =
    required: key: node:
    let
      plain = resolve node;
      isThere = isNamed plain || plain ? default;
      type = typeOf node;
    in
    mkOption (
      {
        description = inNix plain.description;
        type = if isThere || required then type else types.nullOr type;
      }
      // (
        if isThere then
          { default = { }; }
        else if required then
          { }
        else
          {
            default = null;
            defaultText = "left to the daemon";
          }
      )
      // exampleOf node
    );

  exampleOf =
    node:
    if node ? examples then
      { example = head node.examples; }
    else if unitOf node != null then
      { inherit (unitOf node) example; }
    else
      { };

  optionsOf =
    table:
    listToAttrs (
      map (key: {
        name = nixName key;
        value = optionOf (elem key (table.required or [ ])) key table.properties.${key};
      }) (keysOf table)
    );

  # Editors read `$schema`; a document that is made from options has no editor.
  keysOf = table: filter (key: key != "$schema") (attrNames table.properties);

  # Values of options, as the document has them: without what was left out.
  write =
    node: value:
    let
      plain = resolve node;
      tables = filter isTable (map resolve (alternatives plain));
    in
    if isTable plain then
      writeTable plain value
    else if isNamed plain then
      mapAttrs (_: write plain.additionalProperties) value
    else if kindOf plain == "array" then
      map (write plain.items) value
    else if tables != [ ] && isAttrs value then
      writeTable (head tables) value
    else
      value;
  writeTable =
    table: values:
    let
      isGiven = key: values.${nixName key} or null != null;
    in
    listToAttrs (
      map (key: {
        name = key;
        value = write table.properties.${key} values.${nixName key};
      }) (filter isGiven (keysOf table))
    );
in
{
  # The options, for an option set of their own.
  options = optionsOf schema;

  # The document of these options' values.
  document =
    values:
    let
      written = writeTable schema values;
    in
    removeAttrs written (filter (key: written.${key} == { }) (attrNames written));

  inherit json;
}
