# Addresses and prefixes, against values from RFC 4291 §2.2, RFC 5952 and by hand.
{ root }:
let
  addresses = import (root + "/nixos-modules/lib/addresses.nix");
  inherit (addresses)
    contains
    hostBits
    isHost
    isNetwork
    overlap
    parse
    parsePrefix
    same
    withPort
    ;

  groups = text: (parse text).groups;
  refused = map parse;
  within = prefix: text: contains (parsePrefix prefix) (parse text);
  common = a: b: overlap (parsePrefix a) (parsePrefix b);
  equal = a: b: same (parse a) (parse b);
  is = expected: expr: { inherit expr expected; };
  nulls = count: builtins.genList (_: null) count;
in
{
  "an IPv4 address is four bytes" = is [ 211 183 3 250 ] (groups "211.183.3.250");
  "an address keeps its text" = is "FD00::1" (parse "FD00::1").text;
  "an IPv6 address is eight groups" = is [
    8193
    3512
    0
    0
    8
    2048
    8204
    16762
  ] (groups "2001:DB8:0:0:8:800:200C:417A");
  "two colons stand for zeros" = is [
    8193
    3512
    0
    0
    0
    0
    0
    1
  ] (groups "2001:db8::1");
  "two colons alone are the unspecified address" = is [
    0
    0
    0
    0
    0
    0
    0
    0
  ] (groups "::");
  "two colons at the end" = is [
    65152
    0
    0
    0
    0
    0
    0
    0
  ] (groups "fe80::");
  "an IPv4 address at the end makes two groups" = is [
    0
    0
    0
    0
    0
    65535
    49320
    257
  ] (groups "::ffff:192.168.1.1");

  "what is no IPv4 address is refused" = is (nulls 9) (refused [
    ""
    "1.2.3"
    "1.2.3.4.5"
    "256.1.1.1"
    "1.2.3.04"
    "1.2.3.x"
    "1..2.3"
    " 1.2.3.4"
    "1.2.3.4/24"
  ]);
  "what is no IPv6 address is refused" = is (nulls 9) (refused [
    ":"
    ":::"
    "1:2:3:4:5:6:7"
    "1:2:3:4:5:6:7:8:9"
    "1::2::3"
    "1:2:3:4::5:6:7:8"
    "12345::"
    "fe80::1%eth0"
    "1.2.3.4::1"
  ]);
  "what is no text is refused" = is (nulls 3) (refused [
    1
    null
    [ ]
  ]);

  "spellings of one address are the same" = is true (equal "2001:db8::1" "2001:0DB8:0:0:0:0:0:1");
  "neighbours are not the same" = is false (equal "10.0.0.1" "10.0.0.2");
  "families are apart" = is false (equal "0.0.0.0" "::");

  "a prefix has a length" = is 24 (parsePrefix "211.183.3.250/24").length;
  "what is no prefix is refused" = is (nulls 6) (
    map parsePrefix [
      "10.0.0.0"
      "10.0.0.0/33"
      "10.0.0.0/"
      "10.0.0.0/8/8"
      "10.0.0.0/08"
      "fd00::/129"
    ]
  );
  "a prefix contains its addresses" =
    is
      [ true true false ]
      [
        (within "211.183.3.0/24" "211.183.3.0")
        (within "211.183.3.0/24" "211.183.3.255")
        (within "211.183.3.0/24" "211.183.4.0")
      ];
  "a prefix may end inside a byte" =
    is
      [ true false ]
      [
        (within "10.96.0.0/12" "10.111.255.255")
        (within "10.96.0.0/12" "10.112.0.0")
      ];
  "a prefix may end inside a group" =
    is
      [ true false ]
      [
        (within "fd00:8000::/17" "fd00:ffff::1")
        (within "fd00:8000::/17" "fd00:7fff::1")
      ];
  "a prefix of no length contains its whole family only" =
    is
      [ true false ]
      [
        (within "0.0.0.0/0" "255.255.255.255")
        (within "0.0.0.0/0" "::1")
      ];
  "a prefix of full length contains one address" =
    is
      [ true false ]
      [
        (within "fd00::1/128" "fd00::1")
        (within "fd00::1/128" "fd00::2")
      ];
  "prefixes overlap when one is inside the other" =
    is
      [ true true false false ]
      [
        (common "10.0.0.0/8" "10.96.0.0/12")
        (common "10.96.0.0/12" "10.0.0.0/8")
        (common "10.96.0.0/12" "10.112.0.0/12")
        (common "0.0.0.0/0" "::/0")
      ];
  "a network has no bits behind its prefix" =
    is
      [ true false true false ]
      [
        (isNetwork (parsePrefix "10.96.0.0/12"))
        (isNetwork (parsePrefix "10.97.0.0/12"))
        (isNetwork (parsePrefix "fd00:8000::/17"))
        (isNetwork (parsePrefix "fd00::1/64"))
      ];
  "host bits are what the prefix leaves" =
    is
      [ 20 20 ]
      [
        (hostBits (parsePrefix "10.96.0.0/12"))
        (hostBits (parsePrefix "fd00::/108"))
      ];
  "a machine cannot have a special address" =
    is
      [
        true
        false
        false
        false
        false
        false
        true
      ]
      (
        map (text: isHost (parse text)) [
          "211.183.3.250"
          "0.0.0.0"
          "127.0.0.1"
          "224.0.0.18"
          "::1"
          "ff02::12"
          "fd00::1"
        ]
      );
  "a port goes behind brackets where needed" =
    is
      [ "10.0.0.1:6443" "[fd00::1]:6443" ]
      [
        (withPort (parse "10.0.0.1") 6443)
        (withPort (parse "fd00::1") 6443)
      ];
}
