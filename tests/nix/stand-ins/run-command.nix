# As much of nixpkgs' `runCommand` as our expressions use, with the machine's own shell and tools.
path: name: attributes: script:
derivation (
  attributes
  // {
    inherit name;
    system = builtins.currentSystem;
    builder = "/bin/sh";
    PATH = path;
    args = [
      "-euc"
      script
    ];
  }
)
