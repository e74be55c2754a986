# What kubeadm and the kubelet call by name.
pkgs: [
  pkgs.conntrack-tools
  pkgs.cri-tools
  pkgs.ebtables
  pkgs.ethtool
  pkgs.iproute2
  pkgs.iptables
  pkgs.kmod
  pkgs.nftables
  pkgs.socat
  pkgs.util-linux
]
