# An image as an OCI layout, by our own builder: `podman run oci:RESULT`, `skopeo copy oci:RESULT …`.
{
  runCommand,
  catamaran,
  name,
}:
runCommand "catamaran-image-${name}-${catamaran.version}" { } ''
  # The same bytes as the same binary makes elsewhere, whatever the time is called here.
  ${catamaran}/bin/catamaran image build ${name} --source-date-epoch 0 --output "$out"
''
