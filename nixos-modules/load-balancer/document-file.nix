# The document as a file, which `catamaran check` has found good: what is wrong fails the build, with
# every mistake, its line, and what would be right.
{
  runCommand,
  package,
  text,
}:
runCommand "catamaran-cluster.json"
  {
    inherit text;
    passAsFile = [ "text" ];
    preferLocalBuild = true;
    allowSubstitutes = false;
  }
  ''
    # The name that messages have.
    cp "$textPath" cluster.json
    ${package}/bin/catamaran check cluster.json
    cp cluster.json "$out"
  ''
