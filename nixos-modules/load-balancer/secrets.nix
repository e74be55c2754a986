# Files that the document names and only root may read: the service manager reads them, and the
# service finds copies where nobody else looks (systemd.exec(5), LoadCredential=). What lies in the
# Nix store everybody may read anyway.
let
  inherit (builtins)
    attrNames
    concatMap
    filter
    hasAttr
    listToAttrs
    map
    mapAttrs
    replaceStrings
    stringLength
    substring
    ;

  unit = "catamaran.service";

  isInStore = path: substring 0 (stringLength builtins.storeDir + 1) path == "${builtins.storeDir}/";

  # `at` is a table of the document, whose `keys` name files.
  secretsOf =
    prefix: keys: at:
    map (key: {
      name = key;
      credential = "${prefix}-${key}";
      path = at.${key};
    }) (filter (key: hasAttr key at && at.${key} != null && !isInStore at.${key}) keys);

  ofRouter = name: secretsOf "virtual-router-${name}" [ "pass-file" ];
  ofCheck =
    name:
    secretsOf "check-${name}" [
      "ca"
      "client-cert"
      "client-key"
    ];

  # A colon ends a credential's name.
  ofRegistry =
    host:
    secretsOf "registry-${replaceStrings [ ":" ] [ "_" ] host}" [
      "ca"
      "auth-file"
    ];

  # The table with the places where the service finds its files.
  moved =
    secrets: at:
    at
    // listToAttrs (
      map (secret: {
        inherit (secret) name;
        value = "/run/credentials/${unit}/${secret.credential}";
      }) secrets
    );

  movedIn =
    document: table: key: of:
    if !hasAttr table document then
      { }
    else
      {
        ${table} = mapAttrs (
          name: entry:
          entry
          // (if hasAttr key entry then { ${key} = moved (of name entry.${key}) entry.${key}; } else { })
        ) document.${table};
      };

  secretsIn =
    document: table: key: of:
    let
      entries = document.${table} or { };
      with' = filter (name: hasAttr key entries.${name}) (attrNames entries);
    in
    concatMap (name: of name entries.${name}.${key}) with';
in
document: {
  # As the service reads it.
  document =
    document
    // movedIn document "virtual-routers" "authentication" ofRouter
    // movedIn document "checks" "tls" ofCheck
    // (
      if hasAttr "registries" document then
        { registries = mapAttrs (host: entry: moved (ofRegistry host entry) entry) document.registries; }
      else
        { }
    );

  # Where the originals are, by the names of the copies.
  credentials =
    let
      ofRouters = secretsIn document "virtual-routers" "authentication" ofRouter;
      ofChecks = secretsIn document "checks" "tls" ofCheck;
      registries = document.registries or { };
      ofRegistries = concatMap (host: ofRegistry host registries.${host}) (attrNames registries);
    in
    listToAttrs (
      map (secret: {
        name = secret.credential;
        value = secret.path;
      }) (ofRouters ++ ofChecks ++ ofRegistries)
    );
}
