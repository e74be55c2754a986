# IPv4 and IPv6 addresses and prefixes: parsing, equality, containment.
#
# An address is { text; family; groups; }: the text as it was written, 4 or 6, and its bits as four
# numbers of 8 bits or eight of 16. Two spellings of one address have the same groups. A prefix is
# { text; address; length; }. What cannot be parsed is null. Zones (fe80::1%eth0) are not addresses
# that several machines could agree on, and are refused.
let
  inherit (builtins)
    all
    any
    elem
    elemAt
    foldl'
    genList
    head
    isString
    length
    listToAttrs
    match
    stringLength
    ;

  inherit (import ./text.nix) characters lower split;

  groupBits = family: if family == 4 then 8 else 16;
  bits = family: if family == 4 then 32 else 128;

  digits = listToAttrs (
    genList (value: {
      name = elemAt (characters "0123456789abcdef") value;
      inherit value;
    }) 16
  );

  number = base: text: foldl' (value: digit: value * base + digits.${digit}) 0 (characters text);

  # 0 to `most` in decimal, without leading zeros, which some read as octal.
  decimal =
    most: text:
    if match "0|[1-9][0-9]{0,3}" text == null || number 10 text > most then null else number 10 text;

  valid = groups: groups != [ ] && !(elem null groups);

  parse4 =
    text:
    let
      groups = map (decimal 255) (split "[.]" text);
    in
    if valid groups && length groups == 4 then
      {
        inherit text groups;
        family = 4;
      }
    else
      null;

  group16 = text: if match "[0-9a-f]{1,4}" text == null then null else number 16 text;

  # Groups between colons; the last may be an IPv4 address and makes two.
  groups16 =
    text:
    let
      pieces = split ":" text;
      last = elemAt pieces (length pieces - 1);
      embedded = parse4 last;
      byte = elemAt embedded.groups;
      start = map group16 (genList (elemAt pieces) (length pieces - 1));
    in
    if text == "" then
      [ ]
    else if match ".*[.].*" last == null then
      map group16 pieces
    else if embedded == null then
      [ null ]
    else
      start
      ++ [
        (byte 0 * 256 + byte 1)
        (byte 2 * 256 + byte 3)
      ];

  parse6 =
    text:
    let
      # "::" stands for at least one group of zeros, and may be there once.
      halves = map groups16 (split "::" (lower text));
      before = head halves;
      after = elemAt halves 1;
      zeros = 8 - length before - length after;
      groups =
        if length halves == 1 then
          before
        else if length halves == 2 && zeros >= 1 && match ".*[.].*::.*" text == null then
          before ++ genList (_: 0) zeros ++ after
        else
          [ ];
    in
    if valid groups && length groups == 8 then
      {
        inherit text groups;
        family = 6;
      }
    else
      null;

  power = exponent: foldl' (value: _: value * 2) 1 (genList (index: index) exponent);

  # The first `count` bits of the group, as a number.
  leading =
    family: count: group:
    group / power (groupBits family - count);

  clamp =
    low: high: value:
    if value < low then
      low
    else if value > high then
      high
    else
      value;

  sameLeadingBits =
    count: a: b:
    let
      size = groupBits a.family;
      same =
        index:
        let
          here = clamp 0 size (count - index * size);
        in
        leading a.family here (elemAt a.groups index) == leading a.family here (elemAt b.groups index);
    in
    a.family == b.family && all same (genList (index: index) (length a.groups));
in
rec {
  # An address, or null.
  parse =
    text:
    if !isString text || stringLength text > 45 then
      null
    else if match ".*:.*" text == null then
      parse4 text
    else
      parse6 text;

  # ADDRESS/LENGTH, or null. The address may have bits behind the prefix.
  parsePrefix =
    text:
    let
      pieces = if isString text then split "/" text else [ ];
      address = parse (head pieces);
      size = decimal (bits address.family) (elemAt pieces 1);
    in
    if length pieces != 2 || address == null || size == null then
      null
    else
      {
        inherit text address;
        length = size;
      };

  # Whether both are one address, however they are written.
  same = a: b: a.family == b.family && a.groups == b.groups;

  # Whether the address is inside the prefix.
  contains = prefix: address: sameLeadingBits prefix.length prefix.address address;

  # Whether the two prefixes have an address in common.
  overlap = a: b: if a.length <= b.length then contains a b.address else contains b a.address;

  # Whether no bit behind the prefix is set: 10.0.0.0/8, not 10.0.0.1/8.
  isNetwork =
    prefix:
    let
      size = groupBits prefix.address.family;
      zeroBehind =
        index:
        let
          kept = clamp 0 size (prefix.length - index * size);
          group = elemAt prefix.address.groups index;
        in
        group == leading prefix.address.family kept group * power (size - kept);
    in
    all zeroBehind (genList (index: index) (length prefix.address.groups));

  # Bits that the prefix leaves for addresses.
  hostBits = prefix: bits prefix.address.family - prefix.length;

  # 0.0.0.0 and ::.
  isUnspecified = address: all (group: group == 0) address.groups;

  # 127.0.0.0/8 and ::1.
  isLoopback =
    address:
    if address.family == 4 then
      head address.groups == 127
    else
      address.groups == [
        0
        0
        0
        0
        0
        0
        0
        1
      ];

  # 224.0.0.0/4 and ff00::/8.
  isMulticast =
    address:
    if address.family == 4 then head address.groups / 16 == 14 else head address.groups / 256 == 255;

  # An address that a machine can have.
  isHost =
    address:
    !(any (is: is address) [
      isUnspecified
      isLoopback
      isMulticast
    ]);

  # ADDRESS:PORT, with brackets where there are colons in the address already.
  withPort =
    address: port:
    if address.family == 6 then
      "[${address.text}]:${toString port}"
    else
      "${address.text}:${toString port}";
}
