# The secrets of a cluster: what `cluster-secrets` calls the files, and who needs them.
{
  files = {
    bootstrapToken = "bootstrap-token";
    certificateKey = "certificate-key";
    etcdCaCertificate = "etcd-ca.crt";
    etcdCaKey = "etcd-ca.key";
    etcdClientCertificate = "etcd-client.crt";
    etcdClientKey = "etcd-client.key";
    frontProxyCaCertificate = "front-proxy-ca.crt";
    frontProxyCaKey = "front-proxy-ca.key";
    kubernetesCaCertificate = "kubernetes-ca.crt";
    kubernetesCaKey = "kubernetes-ca.key";
    serviceAccountKey = "service-account.key";
    serviceAccountPublicKey = "service-account.pub";
  };

  # What the first control plane puts where kubeadm looks for it, and finds it instead of making its own.
  pki = {
    stacked = {
      etcdCaCertificate = "etcd/ca.crt";
      etcdCaKey = "etcd/ca.key";
    };
    external = {
      etcdCaCertificate = "etcd/ca.crt";
      etcdClientCertificate = "apiserver-etcd-client.crt";
      etcdClientKey = "apiserver-etcd-client.key";
    };
    always = {
      frontProxyCaCertificate = "front-proxy-ca.crt";
      frontProxyCaKey = "front-proxy-ca.key";
      kubernetesCaCertificate = "ca.crt";
      kubernetesCaKey = "ca.key";
      serviceAccountKey = "sa.key";
      serviceAccountPublicKey = "sa.pub";
    };
  };
}
