# For working on Catamaran: what `.ci/run` gets from Debian elsewhere.
{ pkgs }:
pkgs.mkShell {
  packages = [
    pkgs.cargo
    pkgs.clippy
    pkgs.lld
    pkgs.rustc
    pkgs.rustfmt
    # For the tests.
    pkgs.docker-distribution
    pkgs.iproute2
    pkgs.keepalived
    pkgs.nixfmt
    pkgs.skopeo
    pkgs.umoci
    pkgs.util-linux
    pkgs.wireshark-cli
  ];
}
