# From one description of a cluster to what each of its machines needs, in plain Nix: nothing here needs
# nixpkgs, builds anything, or reads anything but the description.
let
  description = import ./description.nix;
  problemsOf = import ./problems.nix;
  factsOf = import ./facts.nix;
  inherit (import ./text.nix) show startsWith;
in
rec {
  addresses = import ./addresses.nix;
  releases = import ./releases.nix;
  secrets = import ./secrets.nix;
  kubeadm = import ./kubeadm.nix;
  types = import ./types.nix;

  # Every key of a description, with its type, default and documentation.
  inherit (description) fields;

  # What is wrong with a description: sentences, in a fixed order, none if nothing is.
  problems =
    written:
    let
      read = description.read "" written;
      sentences = map (problem: problem.path + problem.says) read.problems;
      # Whether something was said of the value at `path` already.
      refused =
        path:
        builtins.any (
          problem:
          problem.path == path || startsWith "${path}." problem.path || startsWith "${path}[" problem.path
        ) read.problems;
    in
    if read.value == null then
      [ "The description is ${show written}, and must be a set of attributes, { … }" ]
    else
      sentences ++ problemsOf refused read.value;

  # What each machine needs; see facts.nix. The description must have no problems.
  facts = written: factsOf (description.read "" written).value;

  # The same, or one error with every problem.
  factsOrThrow =
    written:
    let
      found = problems written;
      list = builtins.concatStringsSep "" (map (problem: "\n- ${problem}") found);
    in
    if found == [ ] then
      facts written
    else
      throw "The description of the cluster cannot be made:${list}";

  mkCluster = import ./mk-cluster.nix;
}
