# Whole hosts with nixpkgs: each one's derivation, and what our own modules say of it.
{
  root,
  nixpkgs,
  # A file of tests/nix/hosts or tests/nix/refused.
  file,
}:
let
  inherit (builtins)
    filter
    foldl'
    isAttrs
    isFunction
    isList
    isPath
    listToAttrs
    map
    mapAttrs
    ;
  lib = import (nixpkgs + "/lib");
  modules = import (root + "/nixos-modules/all.nix");
  ours = toString root + "/nixos-modules/";

  evaluate =
    name: host:
    import (nixpkgs + "/nixos/lib/eval-config.nix") {
      system = "x86_64-linux";
      modules = [
        ./old-release.nix
        { networking.hostName = lib.mkDefault name; }
        host
      ];
    };

  # Whatever else defines a part of these is nixpkgs' own business.
  looked = [
    "boot.kernel.sysctl"
    "boot.kernelModules"
    "environment.etc"
    "environment.systemPackages"
    "networking.extraHosts"
    "networking.firewall.allowedTCPPortRanges"
    "networking.firewall.allowedTCPPorts"
    "networking.firewall.allowedUDPPorts"
    "networking.firewall.checkReversePath"
    "networking.firewall.extraCommands"
    "networking.firewall.extraInputRules"
    "networking.firewall.interfaces"
    "networking.firewall.trustedInterfaces"
    "networking.hosts"
    "networking.interfaces"
    "services.catamaran.document"
    "swapDevices"
    "systemd.paths"
    "systemd.services"
    "systemd.sockets"
    "systemd.targets"
    "systemd.timers"
    "systemd.tmpfiles.rules"
    "users.groups"
    "users.users"
    "virtualisation.containerd.settings"
    "warnings"
  ];

  # Our definitions of an option, as one value; null for none.
  defined =
    option:
    let
      pairs = lib.zipListsWith (file: value: {
        inherit value;
        isOurs = lib.hasPrefix ours (toString file);
      }) option.files option.definitions;
      values = map (pair: plain pair.value) (filter (pair: pair.isOurs) pairs);
    in
    if values == [ ] then null else foldl' joined (builtins.head values) (builtins.tail values);
  joined =
    a: b:
    if isAttrs a && isAttrs b then
      a // b // mapAttrs (name: value: if a ? ${name} then joined a.${name} value else value) b
    else if isList a && isList b then
      a ++ b
    else if builtins.isString a && builtins.isString b then
      a + b
    else
      b;

  # Without what says when a value holds, or before which others; packages by their paths.
  plain =
    value:
    if isFunction value then
      "a function"
    else if isPath value then
      baseNameOf value
    else if isList value then
      map plain value
    else if !isAttrs value then
      value
    else if value ? outPath then
      "${value}"
    else if value._type or null == "if" then
      if value.condition then plain value.content else null
    else if value._type or null == "merge" then
      foldl' joined { } (filter (part: part != null) (map plain value.contents))
    else if value ? _type then
      plain value.content
    else
      lib.filterAttrs (_: inner: inner != null) (mapAttrs (_: plain) value);

  snapshot =
    system:
    listToAttrs (
      filter
        (
          entry:
          !(lib.elem entry.value [
            null
            ""
            { }
            [ ]
          ])
        )
        (
          map (name: {
            inherit name;
            value =
              let
                path = lib.splitString "." name;
              in
              if lib.hasAttrByPath path system.options then
                defined (lib.getAttrFromPath path system.options)
              else
                null;
          }) looked
        )
    );

  hosts = import file { inherit modules; };
in
mapAttrs (
  name: host:
  let
    system = evaluate name host;
  in
  {
    derivation = builtins.unsafeDiscardStringContext system.config.system.build.toplevel.drvPath;
    snapshot = snapshot system;
  }
) hosts
