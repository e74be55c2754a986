# Packages under the names and versions of today, for ./old-release.nix.
final: previous: {
  iproute2 = previous.iproute;
  util-linux = previous.utillinux;
  kubernetes = previous.kubernetes // {
    version = "1.36.0";
  };
  # Its Rust is too old, and it cannot read Cargo.lock.
  catamaran = final.runCommand "catamaran" { } "mkdir $out";
}
