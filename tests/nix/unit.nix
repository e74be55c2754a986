# Runs the unit tests of a file: what is not as expected, by the test's name, and how many there are.
{ root, file }:
let
  inherit (builtins)
    attrNames
    filter
    length
    listToAttrs
    map
    tryEval
    ;
  tests = import file { inherit root; };
  # Beyond what can be caught, such as a missing attribute, the evaluation ends with a trace.
  isGood = name: (tryEval (tests.${name}.expr == tests.${name}.expected)).value;
  failing = filter (name: !(isGood name)) (attrNames tests);
  found =
    name:
    let
      caught = tryEval (builtins.deepSeq tests.${name}.expr tests.${name}.expr);
    in
    if caught.success then caught.value else "threw";
in
{
  count = length (attrNames tests);
  failing = listToAttrs (
    map (name: {
      inherit name;
      value = {
        inherit (tests.${name}) expected;
        found = found name;
      };
    }) failing
  );
}
