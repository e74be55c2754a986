# Two documents become one; a key with two different values belongs to neither.
let
  inherit (builtins)
    attrNames
    concatMap
    concatStringsSep
    filter
    hasAttr
    isAttrs
    map
    mapAttrs
    ;

  both = a: b: filter (key: hasAttr key b) (attrNames a);

  merged = a: b: a // b // mapAttrs (_: key: join a.${key} b.${key}) (shared a b);
  shared =
    a: b:
    builtins.listToAttrs (
      map (key: {
        name = key;
        value = key;
      }) (both a b)
    );
  join = a: b: if isAttrs a && isAttrs b then merged a b else a;

  # The places of keys that have two values, from the root on.
  conflicts =
    path: a: b:
    concatMap (
      key:
      let
        here = path ++ [ key ];
      in
      if isAttrs a.${key} && isAttrs b.${key} then
        conflicts here a.${key} b.${key}
      else if a.${key} == b.${key} then
        [ ]
      else
        [
          {
            place = concatStringsSep "." here;
            values = [
              a.${key}
              b.${key}
            ];
          }
        ]
    ) (both a b);
in
a: b: {
  document = merged a b;
  conflicts = conflicts [ ] a b;
}
