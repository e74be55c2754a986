# The modules by name; `default` is all of them.
{
  default = ./.;
  load-balancer = ./load-balancer;
  control-plane = ./control-plane;
  etcd = ./etcd;
  worker = ./worker;
  cluster = ./cluster;
}
