# The Kubernetes releases that can be made, each with the pause image that its kubeadm names.
#
# They are those whose kubeadm reads kubeadm.k8s.io/v1beta4, which came with 1.31.
{
  newest = "1.37";

  pause = {
    "1.31" = "3.10";
    "1.32" = "3.10";
    "1.33" = "3.10";
    "1.34" = "3.10.1";
    "1.35" = "3.10.1";
    "1.36" = "3.10.2";
    "1.37" = "3.10.2";
  };
}
