# `catamaran.kubernetes.worker`: a node that runs pods.
{ config, lib, ... }:
{
  imports = [ ../kubernetes ];

  options.catamaran.kubernetes.worker.enable = lib.mkEnableOption "a Kubernetes worker";

  config = lib.mkIf config.catamaran.kubernetes.worker.enable {
    catamaran.kubernetes.role = "worker";
  };
}
