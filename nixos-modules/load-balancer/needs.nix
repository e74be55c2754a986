# What a document wants of the machine that is one of its nodes. The same as src/pure/manifest/needs.rs
# decides for other ways to run the daemon; tests/nix.rs compares the two.
let
  inherit (builtins)
    any
    attrNames
    attrValues
    concatMap
    elemAt
    filter
    fromJSON
    hasAttr
    map
    match
    ;

  # Below it, the kernel wants CAP_NET_BIND_SERVICE.
  firstFreePort = 1024;

  unique =
    names:
    attrNames (
      builtins.listToAttrs (
        map (name: {
          inherit name;
          value = null;
        }) names
      )
    );

  # "ADDRESS:PORT", where an IPv6 address is in brackets.
  bindOf =
    text:
    let
      parts = match "(.*):0*([0-9]+)" text;
    in
    if parts == null then
      [ ]
    else
      [
        {
          address = elemAt parts 0;
          port = fromJSON (elemAt parts 1);
        }
      ];
  isLoopback = address: match "127\\..*|\\[::1]" address != null;

  folderOf = path: elemAt (match "(.*)/[^/]*" path) 0;
in
{ document, node }:
let
  routers = attrValues (document.virtual-routers or { });
  own = (document.nodes or { }).${if node == null then "" else node} or { };
  others = map (name: document.nodes.${name}) (
    filter (name: name != node) (attrNames (document.nodes or { }))
  );

  binds = concatMap (listener: concatMap bindOf (listener.bind or [ ])) (
    attrValues (document.listeners or { })
  );
  tracked = concatMap (router: router.track or [ ]) routers;
  plugins = map (check: match "file:([^@]*)(@.*)?" (check.plugin or "")) (
    attrValues (document.checks or { })
  );

  isIPv4 = address: address != null && match "[0-9.]+(/[0-9]+)?" address != null;
  familyOf = router: if any isIPv4 (router.addresses or [ ]) then "ipv4" else "ipv6";
  interfaceOf = router: router.interface or own.interface or null;

  # Who may advertise to this node, by the interface where it is heard. Neighbours on an interface
  # that is not the nodes' own have addresses there that the document does not know, and IPv6 is
  # spoken from link-local ones (RFC 9568 section 5.1.2.1).
  heard =
    router:
    let
      family = familyOf router;
      named =
        other:
        let
          address = other.address or null;
          isOfFamily = isIPv4 address == (family == "ipv4");
        in
        if isOfFamily && !(hasAttr "interface" router) then address else null;
      sources =
        if family == "ipv6" && !(router.unicast or false) then [ "fe80::/10" ] else map named others;
    in
    map (source: {
      inherit family source;
      interface = interfaceOf router;
    }) sources;

  withVirtualMac = filter (router: router.virtual-mac or false) routers;
in
{
  # It takes part in elections.
  elections = routers != [ ];
  # It listens on ports that are not everybody's.
  lowPorts = any (bind: bind.port < firstFreePort) binds;
  # Ports that others are to reach.
  ports = map fromJSON (
    unique (map (bind: toString bind.port) (filter (bind: !isLoopback bind.address) binds))
  );
  # Where advertisements come from, each once.
  peers = map fromJSON (unique (map builtins.toJSON (concatMap heard routers)));
  # A MAC of its own has a macvlan interface on each of these.
  virtualMacOn = unique (filter (name: name != null) (map interfaceOf withVirtualMac));
  # Of these, the ones on which somebody answers ARP.
  virtualMacOnIPv4 = unique (
    filter (name: name != null) (
      map interfaceOf (filter (router: familyOf router == "ipv4") withVirtualMac)
    )
  );
  # What it reads besides the document and its secrets: plugins, and folders of tracked files.
  files = unique (
    map (plugin: elemAt plugin 0) (filter (plugin: plugin != null) plugins)
    ++ map (track: folderOf track.file) (filter (track: track ? file) tracked)
  );
  # A folder that it writes to.
  cache = document.daemon.plugin-cache or null;
}
