# The service, as values for `systemd.services`: rights by what the document needs, and nothing else
# of the machine. The same as `catamaran image manifest systemd` writes for other distributions.
let
  inherit (builtins)
    attrNames
    concatStringsSep
    filter
    map
    match
    replaceStrings
    ;

  optionals = condition: list: if condition then list else [ ];

  # A folder below /var/cache is made for the service's user.
  cacheOf =
    path:
    let
      below = match "/var/cache/(.+)" path;
    in
    if path == null then
      { }
    else if below != null then
      { CacheDirectory = below; }
    else
      { ReadWritePaths = [ path ]; };

  # Of people's folders only what the document names is to be seen.
  isPrivate = path: match "/(home|root|run/user)(/.*)?" path != null;
  homesOf =
    files:
    let
      shown = filter isPrivate files;
    in
    if shown == [ ] then
      { ProtectHome = true; }
    else
      {
        ProtectHome = "tmpfs";
        BindReadOnlyPaths = shown;
      };

  # systemd.unit(5): a percent sign begins a specifier.
  literal = replaceStrings [ "%" ] [ "%%" ];
in
{
  package,
  node,
  needs,
  credentials,
  log,
}:
let
  command = "${package}/bin/catamaran";
  capabilities =
    optionals needs.elections [
      "CAP_NET_ADMIN"
      "CAP_NET_RAW"
    ]
    ++ optionals needs.lowPorts [ "CAP_NET_BIND_SERVICE" ];
  names = concatStringsSep " " capabilities;
  arguments = [
    "--config=/etc/catamaran/cluster.json"
    "--log=${log.level}"
    "--log-format=${log.format}"
  ]
  ++ optionals (node != null) [ "--node=${node}" ];
in
{
  description = "Catamaran load balancer";
  # Not network-online.target: addresses and interfaces may come later. Whatever comes after
  # network.target stops before the network does, so that addresses are handed over while it works.
  after = [ "network.target" ];
  wantedBy = [ "multi-user.target" ];

  # Not stopped at the beginning of a switch to be started at its end, but restarted when all else
  # is in place: the daemon hands its addresses over and drains before the new one starts.
  stopIfChanged = false;

  unitConfig = {
    # A load balancer never gives up.
    StartLimitIntervalSec = 0;
  };

  serviceConfig = {
    Type = "notify";
    ExecStart = concatStringsSep " " ([ "${command} run" ] ++ map literal arguments);
    ExecReload = "${command} reload";
    Restart = "on-failure";
    RestartSec = "1s";
    # A wrong document does not get better by trying again.
    RestartPreventExitStatus = 2;
    # Every endpoint is probed once before the first connection. How long it takes to stop the daemon
    # says itself, so that another drain-timeout needs no other unit.
    TimeoutStartSec = "5min";
    WatchdogSec = "10s";

    DynamicUser = true;
    # The admin socket.
    RuntimeDirectory = "catamaran";
    RuntimeDirectoryMode = "0700";
    UMask = "0077";
    LimitNOFILE = 1048576;

    AmbientCapabilities = names;
    CapabilityBoundingSet = names;
    NoNewPrivileges = true;
    ProtectSystem = "strict";
    PrivateTmp = true;
    PrivateDevices = true;
    PrivateIPC = true;
    PrivateMounts = true;
    ProtectClock = true;
    ProtectControlGroups = true;
    ProtectHostname = true;
    ProtectKernelLogs = true;
    ProtectKernelModules = true;
    ProtectKernelTunables = true;
    ProtectProc = "invisible";
    KeyringMode = "private";
    LockPersonality = true;
    RestrictAddressFamilies = [
      "AF_UNIX"
      "AF_INET"
      "AF_INET6"
    ]
    ++ optionals needs.elections [
      "AF_NETLINK"
      "AF_PACKET"
    ];
    RestrictNamespaces = true;
    RestrictSUIDSGID = true;
    SystemCallArchitectures = "native";
    SystemCallFilter = [
      "@system-service"
      "~@privileged"
    ];
    SystemCallErrorNumber = "EPERM";
    # Not MemoryDenyWriteExecute: check plugins are compiled when the daemon starts.
  }
  // (
    if needs.elections then
      {
        # For the thread of the virtual routers.
        LimitRTPRIO = 1;
        # However it ended: a killed daemon removes nothing.
        ExecStopPost = "${command} sweep";
      }
    else
      { RestrictRealtime = true; }
  )
  # A user namespace of its own has no say over the host's network.
  // (if capabilities == [ ] then { PrivateUsers = true; } else { })
  // (
    if credentials == { } then
      { }
    else
      {
        LoadCredential = map (name: "${name}:${literal credentials.${name}}") (attrNames credentials);
      }
  )
  // homesOf needs.files
  // cacheOf needs.cache;
}
