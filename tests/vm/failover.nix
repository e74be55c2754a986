# The load balancer that has the address is stopped, crashes, and loses its
# cable; each time the worker gets its answers from the other one.
{ pair, ... }:
{
  inherit (pair) nodes;
  testScript = pair.prelude + ''
    with subtest("a graceful stop is hardly seen"):
        since = now()
        lb_a.succeed("systemctl stop catamaran")
        has_it(lb_b)
        has_it_not(lb_a)
        answered_again(now())
        # Machines that are emulated are slow; what is promised is far less.
        assert longest_silence(since) < 3
        lb_a.succeed("systemctl start catamaran")
        has_it(lb_a)

    with subtest("a daemon that is killed leaves nothing behind"):
        since = now()
        lb_a.succeed("systemctl mask --runtime catamaran")
        lb_a.succeed("systemctl kill --signal=KILL catamaran")
        has_it(lb_b)
        lb_a.wait_until_fails(f"ip -oneline address show | grep -F ' {VIRTUAL}/'")
        answered_again(now())
        assert longest_silence(since) < 10
        lb_a.succeed("systemctl unmask --runtime catamaran")
        lb_a.succeed("systemctl reset-failed catamaran; systemctl start catamaran")
        has_it(lb_a)

    with subtest("a cable that is cut"):
        since = now()
        lb_a.block()
        has_it(lb_b)
        answered_again(now())
        assert longest_silence(since) < 10
        lb_a.unblock()
        lb_b.wait_until_fails(f"ip -oneline address show | grep -F ' {VIRTUAL}/'")
        has_it(lb_a)

    with subtest("a machine that dies"):
        since = now()
        lb_a.crash()
        has_it(lb_b)
        answered_again(now())
        assert longest_silence(since) < 10
        lb_a.start()
        lb_a.wait_for_unit("catamaran.service")
        has_it(lb_a)

    with subtest("an endpoint that dies"):
        master1.crash()
        lb_a.wait_until_succeeds("catamaran status --json | grep -F '\"health\":\"down\"'")
        answered_again(now())
  '';
}
