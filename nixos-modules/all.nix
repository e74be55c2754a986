# The modules by name; `default` is all of them.
{
  default = ./.;
  load-balancer = ./load-balancer;
}
