# Every module; each does nothing until it is enabled.
{
  imports = [
    ./load-balancer
    ./control-plane
    ./etcd
    ./worker
    ./cluster
  ];
}
