# What is wrong on this host that the document alone does not show; a sentence for each, with host,
# option, value, and the way out. What is wrong with the document itself is for `catamaran check`.
let
  inherit (builtins)
    attrNames
    concatMap
    concatStringsSep
    elem
    elemAt
    filter
    hasAttr
    map
    match
    stringLength
    substring
    toJSON
    ;

  listed = concatStringsSep ", ";
  sayWhen = condition: sentence: if condition then [ sentence ] else [ ];
  withoutLength = address: elemAt (match "([^/]*)(/.*)?" address) 0;
  isInStore = path: substring 0 (stringLength builtins.storeDir + 1) path == "${builtins.storeDir}/";
in
{
  # `networking.hostName`.
  host,
  # `services.catamaran.node`.
  node,
  # The whole document, and where its two sources disagree.
  document,
  conflicts,
  # See needs.nix.
  needs,
  # Static addresses by interface, without prefix length.
  addresses,
  # `networking.firewall.checkReversePath`; false where there is no firewall.
  reversePath,
  # VRIDs of keepalived's instances on this host, by name.
  keepalived,
}:
let
  nodes = document.nodes or { };
  routers = document.virtual-routers or { };
  own = nodes.${node};
  known = node != null && hasAttr node nodes;

  ofSettings = map (
    conflict:
    "services.catamaran.settings.${conflict.place} is ${toJSON (elemAt conflict.values 1)}, and the "
    + "option for it says ${toJSON (elemAt conflict.values 0)}: remove one of the two."
  ) conflicts;

  ofNode =
    if nodes == { } then
      sayWhen (node != null) (
        "services.catamaran.node is \"${toString node}\", and services.catamaran.nodes is empty: "
        + "describe the nodes there, or leave services.catamaran.node alone."
      )
    else if node == null then
      [
        (
          "services.catamaran.node is not set, and no node has the host's name; services.catamaran.nodes "
          + "has ${listed (attrNames nodes)}: set services.catamaran.node to the one that this host is."
        )
      ]
    else
      sayWhen (!known) (
        "services.catamaran.node is \"${node}\"; services.catamaran.nodes has "
        + "${listed (attrNames nodes)}: name one of them, or add it."
      );

  # Hosts made from the same text, one of which believes that it is the other.
  ofAddress =
    let
      there = addresses.${own.interface or ""} or [ ];
    in
    if !known || there == [ ] || !(own ? address) then
      [ ]
    else
      sayWhen (!(elem own.address there)) (
        "services.catamaran.nodes.${node}.address is \"${own.address}\", and "
        + "networking.interfaces.${own.interface} has ${listed there}: correct one of the two, or "
        + "services.catamaran.node, if this host is another node."
      );

  ofVirtualAddresses = concatMap (
    name:
    concatMap (
      address:
      let
        ip = withoutLength address;
      in
      concatMap (
        interface:
        sayWhen (elem ip addresses.${interface} && own.address or null != ip) (
          "networking.interfaces.${interface} has ${ip}, which is a virtual address "
          + "(services.catamaran.virtualRouters.${name}.addresses): remove it there; the Active node gets "
          + "it when it is elected."
        )
      ) (attrNames addresses)
    ) (routers.${name}.addresses or [ ])
  ) (if known then attrNames routers else [ ]);

  ofSecrets =
    let
      inStore =
        option: path:
        sayWhen (isInStore path) (
          "${option} is ${path}, in the Nix store, where everybody can read it: write the path of a file "
          + "that is put on the host by other means as text, such as \"/run/secrets/catamaran\"."
        );
    in
    concatMap (
      name:
      inStore "services.catamaran.virtualRouters.${name}.authentication.passFile" (
        routers.${name}.authentication.pass-file or ""
      )
    ) (attrNames routers)
    ++ concatMap (
      name:
      inStore "services.catamaran.checks.${name}.tls.clientKey" (
        document.checks.${name}.tls.client-key or ""
      )
    ) (attrNames (document.checks or { }));

  ofFiles = concatMap (
    path:
    sayWhen (match "/(tmp|var/tmp)(/.*)?" path != null) (
      "services.catamaran is to look at ${path}, which would be out of its sight: a service has a /tmp "
      + "and a /var/tmp of its own. Keep it elsewhere, such as in /run."
    )
  ) needs.files;

  ofReversePath =
    sayWhen
      (
        needs.virtualMacOn != [ ]
        && elem reversePath [
          true
          "strict"
        ]
      )
      (
        "networking.firewall.checkReversePath is ${toJSON reversePath}, and with "
        + "services.catamaran.virtualRouters.NAME.virtualMac packets come in on another interface than "
        + "answers go out on (${listed needs.virtualMacOn}): set it to \"loose\"."
      );

  ofKeepalived = concatMap (
    name:
    concatMap (
      instance:
      sayWhen (routers.${name}.vrid or null == keepalived.${instance}) (
        "services.keepalived.vrrpInstances.${instance}.virtualRouterId is "
        + "${toString keepalived.${instance}}, as services.catamaran.virtualRouters.${name}.vrid: one host "
        + "cannot be two routers of an election. Remove the instance from this host; keepalived may stay "
        + "on the other ones while you move."
      )
    ) (attrNames keepalived)
  ) (attrNames routers);

  # Said, and not refused: VRRP's password keeps nobody out who can listen.
  readable = filter (name: (routers.${name}.authentication or { }) ? pass) (attrNames routers);
in
{
  problems = map (sentence: "Host ${host}: ${sentence}") (
    ofSettings
    ++ ofNode
    ++ ofAddress
    ++ ofVirtualAddresses
    ++ ofSecrets
    ++ ofFiles
    ++ ofReversePath
    ++ ofKeepalived
  );
  warnings = map (
    name:
    "Host ${host}: services.catamaran.virtualRouters.${name}.authentication.pass is in the Nix store, "
    + "where everybody can read it: write passFile instead, the path of a file that holds it."
  ) readable;
}
