# Text: splitting, showing values to people, and the nearest right word.
let
  inherit (builtins)
    all
    concatStringsSep
    elemAt
    filter
    foldl'
    genList
    head
    isAttrs
    isFunction
    isList
    isPath
    isString
    length
    replaceStrings
    sort
    stringLength
    substring
    toJSON
    typeOf
    ;

  # Nix strings are bytes; every word that is compared here is ASCII.
  characters = text: genList (index: substring index 1 text) (stringLength text);

  lower = replaceStrings (characters "ABCDEFGHIJKLMNOPQRSTUVWXYZ") (
    characters "abcdefghijklmnopqrstuvwxyz"
  );

  # Levenshtein's distance, row by row.
  distance =
    a: b:
    let
      rows = characters a;
      columns = characters b;
      cell =
        above: row: next: column:
        let
          replaced = elemAt above column + (if elemAt rows row == elemAt columns column then 0 else 1);
          deleted = elemAt above (column + 1) + 1;
          inserted = elemAt next column + 1;
        in
        next
        ++ [
          (least [
            replaced
            deleted
            inserted
          ])
        ];
      nextRow = above: row: foldl' (cell above row) [ (row + 1) ] (numbers (length columns));
      lastRow = foldl' nextRow (numbers (length columns + 1)) (numbers (length rows));
    in
    elemAt lastRow (length columns);

  numbers = genList (index: index);

  least = foldl' (a: b: if a < b then a else b) 1000000;

  # Slips in a word of this length that still let it be recognised.
  allowed =
    size:
    if size <= 2 then
      0
    else if size <= 5 then
      1
    else if size <= 9 then
      2
    else
      3;

  # Spellings that people mix up: `virtual-address`, `virtualAddress`, `virtual_address`.
  fold = word: replaceStrings [ "-" "_" ] [ "" "" ] (lower word);
in
rec {
  inherit characters lower;

  # The pieces of `text` between matches of the regular expression.
  split = separator: text: filter isString (builtins.split separator text);

  startsWith = prefix: text: substring 0 (stringLength prefix) text == prefix;

  quote = toJSON;

  # Values as they are written in Nix, short enough for a sentence.
  show =
    value:
    if isString value then
      quote value
    else if isPath value then
      toString value
    else if isList value then
      "[ ${concatStringsSep " " (map show value)} ]"
    else if isAttrs value then
      "{ … }"
    else if isFunction value then
      "a function"
    else if
      all (known: typeOf value != known) [
        "int"
        "bool"
        "float"
        "null"
      ]
    then
      "a ${typeOf value}"
    else
      toJSON value;

  # "a", "b" and "c".
  enumerate =
    names:
    let
      count = length names;
      start = genList (elemAt names) (count - 1);
    in
    if count == 0 then
      "none"
    else if count == 1 then
      head names
    else
      "${concatStringsSep ", " start} and ${elemAt names (count - 1)}";

  # The one of `known` that was probably meant by `word`, or null.
  nearest =
    word: known:
    let
      candidates = map (name: {
        inherit name;
        distance = distance (fold word) (fold name);
        allowed = allowed (
          if stringLength word < stringLength name then stringLength name else stringLength word
        );
      }) known;
      close = filter (candidate: candidate.distance <= candidate.allowed) candidates;
      ranked = sort (a: b: a.distance < b.distance) close;
    in
    if stringLength word > 64 || ranked == [ ] then null else (head ranked).name;
}
