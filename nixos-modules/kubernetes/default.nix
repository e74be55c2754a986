# What every Kubernetes node has: containerd, the kubelet as kubeadm expects it, kubeadm's tools, kernel
# settings, and the unit that makes the machine a member of its cluster.
#
# ../control-plane and ../worker say what the machine is; this does nothing by itself.
{
  imports = [
    ../firewall
    ./options.nix
    ./assertions.nix
    ./containerd.nix
    ./host.nix
    ./kubelet.nix
    ./bootstrap.nix
  ];
}
