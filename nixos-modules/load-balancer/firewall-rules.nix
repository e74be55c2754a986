# Advertisements (IP protocol 112) from those who may send them, in the words of both firewalls.
let
  inherit (builtins) concatStringsSep filter map;

  # RFC 9568 section 5.1: where advertisements are sent to that are not unicast.
  group = {
    ipv4 = "224.0.0.18";
    ipv6 = "ff02::12";
  };

  whenNot =
    null': value: text:
    if value == null' then "" else text;

  iptables =
    peer:
    concatStringsSep " " (
      filter (part: part != "") [
        (if peer.family == "ipv4" then "iptables" else "ip6tables")
        "-w -A nixos-fw -p 112"
        (whenNot null peer.interface "-i ${peer.interface}")
        (if peer.source == null then "-d ${group.${peer.family}}" else "-s ${peer.source}")
        "-j nixos-fw-accept"
      ]
    );

  nftables =
    peer:
    let
      ip = if peer.family == "ipv4" then "ip" else "ip6";
    in
    concatStringsSep " " (
      filter (part: part != "") [
        (whenNot null peer.interface "iifname \"${peer.interface}\"")
        (
          if peer.source == null then "${ip} daddr ${group.${peer.family}}" else "${ip} saddr ${peer.source}"
        )
        "meta l4proto 112 accept"
      ]
    );

  lines = map (line: line + "\n");
in
peers: {
  iptables = concatStringsSep "" (lines (map iptables peers));
  nftables = concatStringsSep "" (lines (map nftables peers));
}
