# The modules by name; `default` is all of them.
{
  default = ./.;
  cluster = ./cluster;
  control-plane = ./control-plane;
  etcd = ./etcd;
  load-balancer = ./load-balancer;
  worker = ./worker;
}
