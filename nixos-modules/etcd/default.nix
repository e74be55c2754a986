# `catamaran.etcd`: a member of an etcd cluster of its own, apart from the control planes, where every
# client and every member shows a certificate of etcd's authority.
{
  imports = [
    ../firewall
    ./options.nix
    ./service.nix
  ];
}
