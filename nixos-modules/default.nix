# Every module; each does nothing until it is enabled.
{
  imports = [
    ./load-balancer
  ];
}
