# Which secrets a machine needs, and where they are on it.
let
  inherit (builtins) elem;
  secrets = import ./secrets.nix;
in
rec {
  # Path of a secret on the machines, or null.
  path =
    cluster: name:
    let
      written = cluster.secrets or null;
    in
    if written == null then
      null
    else if written.${name} != null then
      written.${name}
    else if written.directory != null then
      "${written.directory}/${secrets.files.${name}}"
    else
      null;

  # What the first control plane hands to kubeadm, by place under /etc/kubernetes/pki.
  pki = cluster: secrets.pki.always // secrets.pki.${cluster.etcd.topology};

  # Attributes named after the secrets that the machine needs.
  needs =
    cluster: members: machine:
    let
      has = role: elem role machine.roles;
      isFirst = members.first != null && machine.name == members.first.name;
      topology = cluster.etcd.topology or null;
      set =
        names:
        builtins.listToAttrs (
          map (name: {
            inherit name;
            value = true;
          }) names
        );
    in
    (if has "control-plane" && isFirst && topology != null then pki cluster else { })
    // (
      if has "control-plane" then
        set [
          "kubernetesCaCertificate"
          "bootstrapToken"
          "certificateKey"
        ]
      else if has "worker" then
        set [
          "kubernetesCaCertificate"
          "bootstrapToken"
        ]
      else
        { }
    )
    // (
      if has "etcd" then
        set [
          "etcdCaCertificate"
          "etcdCaKey"
        ]
      else
        { }
    );
}
