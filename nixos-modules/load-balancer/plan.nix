# All that this module decides, from plain values: nothing here knows nixpkgs, so that a test can ask.
let
  merge = import ./merge.nix;
  moveSecrets = import ./secrets.nix;
  needsOf = import ./needs.nix;
  render = import ./json.nix;
in
{
  # The document as options make it, and as `settings` has it.
  typed,
  settings,
  node,
}:
let
  merged = merge typed settings;
  moved = moveSecrets merged.document;
in
{
  # As it was written, and where its two sources disagree.
  inherit (merged) document conflicts;
  # As the service reads it.
  text = render moved.document;
  inherit (moved) credentials;
  needs = needsOf {
    inherit (merged) document;
    inherit node;
  };
}
