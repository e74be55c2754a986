# `nix run .#cluster-secrets DIRECTORY`: the secrets of a cluster, made on the administrator's machine.
{
  writeShellApplication,
  coreutils,
  openssl,
}:
writeShellApplication {
  name = "cluster-secrets";
  runtimeInputs = [
    coreutils
    openssl
  ];
  text = builtins.readFile ../secrets/cluster-secrets.sh;
}
