# Every module; each does nothing until it is enabled.
{
  imports = [
    ./cluster
    ./control-plane
    ./etcd
    ./load-balancer
    ./worker
  ];
}
