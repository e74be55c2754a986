# What all machines have besides their part in the cluster: disks, boot loader, who may log in.
{
  fileSystems."/".device = "/dev/disk/by-label/nixos";
  boot.loader.grub.device = "/dev/sda";

  services.openssh.enable = true;
  users.users.root.openssh.authorizedKeys.keys = [ ];

  system.stateVersion = "26.05";
}
