# `catamaran.kubernetes.controlPlane`: an apiserver and what belongs to it, made by kubeadm.
{
  imports = [
    ../kubernetes
    ./options.nix
    ./service.nix
  ];
}
