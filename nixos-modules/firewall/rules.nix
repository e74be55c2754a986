# Rules that let some machines in, in the words of both firewalls. In plain Nix.
let
  inherit (builtins)
    concatMap
    concatStringsSep
    filter
    map
    match
    ;

  isIPv6 = source: match ".*:.*" source != null;
  commas = list: concatStringsSep ", " (map toString list);

  iptables =
    rule: source:
    concatStringsSep " " [
      (if isIPv6 source then "ip6tables" else "iptables")
      "-w -A nixos-fw -p ${rule.protocol} -s ${source}"
      "-m multiport --dports ${concatStringsSep "," (map toString rule.ports)}"
      "-j nixos-fw-accept\n"
    ];

  nftables =
    rule: family: sources:
    if sources == [ ] then
      [ ]
    else
      [
        "${family} saddr { ${commas sources} } ${rule.protocol} dport { ${commas rule.ports} } accept\n"
      ];
in
rules: {
  # Ports that everybody may reach.
  open =
    protocol:
    concatMap (rule: rule.ports) (filter (rule: rule.protocol == protocol && rule.from == [ ]) rules);

  iptables = concatStringsSep "" (concatMap (rule: map (iptables rule) rule.from) rules);

  nftables = concatStringsSep "" (
    concatMap (
      rule:
      nftables rule "ip" (filter (source: !(isIPv6 source)) rule.from)
      ++ nftables rule "ip6" (filter isIPv6 rule.from)
    ) rules
  );
}
