# The parts of this source tree that packages are made of, so that a change elsewhere builds nothing
# anew.
let
  inherit (builtins)
    any
    map
    path
    stringLength
    substring
    ;

  root = ../..;
  startsWith = start: text: substring 0 (stringLength start) text == start;
  below = file: substring (stringLength (toString root) + 1) (-1) (toString file);

  # What is wanted, what lies in it, and the folders on the way there.
  only =
    name: wanted:
    path {
      path = root;
      inherit name;
      filter =
        file: _:
        any (
          part: part == below file || startsWith "${part}/" (below file) || startsWith "${below file}/" part
        ) wanted;
    };

  workspace = [
    ".cargo"
    "Cargo.lock"
    "Cargo.toml"
    "plugins"
    "src"
  ];
in
{
  # The workspace; cargo wants to see its benchmarks, and the binary has its images' descriptions in it.
  balancer = only "catamaran-source" (
    workspace
    ++ [
      "images"
      "tests/bench"
    ]
  );
  plugins = only "catamaran-plugins-source" (workspace ++ [ "tests/bench" ]);
}
