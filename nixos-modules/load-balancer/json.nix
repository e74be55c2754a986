# A value as JSON for people: one key a line, in alphabetical order, so that a message of
# `catamaran check` points at something.
let
  inherit (builtins)
    attrNames
    concatStringsSep
    isAttrs
    isList
    map
    toJSON
    ;

  block =
    indent: open: lines: close:
    if lines == [ ] then
      open + close
    else
      "${open}\n${concatStringsSep ",\n" (map (line: "${indent}  ${line}") lines)}\n${indent}${close}";

  render =
    indent: value:
    let
      inner = render "${indent}  ";
      entry = key: "${toJSON key}: ${inner value.${key}}";
    in
    if isAttrs value then
      block indent "{" (map entry (attrNames value)) "}"
    else if isList value then
      block indent "[" (map inner value) "]"
    else
      toJSON value;
in
value: render "" value + "\n"
