//! Pairs of real daemons on a link of their own: who has the address, and what
//! is left of it.

#[path = "support/daemon.rs"]
mod daemon;
#[path = "support/enclosed.rs"]
mod enclosed;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use catamaran::app::election::status::RouterStatus;
use catamaran::app::status::Status;
use catamaran::commands::lab::enclosure::FOLDER;
use catamaran::commands::lab::world::{Host, INTERFACE};
use catamaran::shell::admin::{Place, Question, ask};
use catamaran::shell::netlink::Netlink;
use catamaran::shell::vrrp::{Announcer, ArpOperation, gratuitous_arp};
use daemon::{Daemon, NODES, ROUTER, VIRTUAL, count, document, echo, gains, has, hosts, loses, pair};
use enclosed::{at, enclosed, found, run};
use nix::sys::signal::Signal;

#[test]
fn stopped_active_hands_over_and_leaves_nothing() {
    enclosed(async |mut world| {
        let (a, b) = pair(&mut world, &document("")).await;
        let (left, admin) = (a.host.clone(), a.admin.clone());
        a.stop();
        // It has ended only after the other took over.
        gains(&b.host, VIRTUAL).await;
        loses(&left, VIRTUAL).await;
        assert!(!Path::new(&admin.to_string()).exists());
        let router = b.is("active").await;
        assert_eq!(router.why, "192.0.2.1 left");
        assert_eq!(router.peers[0].node.as_deref(), Some("lb-a"));
    });
}

#[test]
fn second_signal_does_not_wait_for_a_successor_and_leaves_nothing_either() {
    enclosed(async |mut world| {
        let (host, _) = hosts(&mut world);
        // Nobody is there who could take over.
        let daemon = Daemon::start(&host, &document("").replace("100ms", "1s"));
        daemon.is("active").await;
        daemon.signal(Signal::SIGTERM);
        daemon.router("handing over", |router| router.handing_over).await;
        daemon.stop();
        assert!(!has(&host, VIRTUAL));
    });
}

// Known fault of others: a killed daemon leaves the address behind for ever.
#[test]
fn killed_daemon_loses_the_address_without_help() {
    enclosed(async |mut world| {
        let (a, b) = pair(&mut world, &document("")).await;
        a.signal(Signal::SIGKILL);
        b.is("active").await;
        loses(&a.host, VIRTUAL).await;
        gains(&b.host, VIRTUAL).await;
    });
}

#[test]
fn hung_daemon_loses_the_address_and_takes_it_back_when_it_wakes_up() {
    enclosed(async |mut world| {
        let (a, b) = pair(&mut world, &document("")).await;
        a.signal(Signal::SIGSTOP);
        b.is("active").await;
        loses(&a.host, VIRTUAL).await;
        a.signal(Signal::SIGCONT);
        // Asked before it has looked at the time, it still says what it was.
        a.router("active anew", |router| {
            router.state == "active" && router.why.contains("ours is higher")
        })
        .await;
        b.is("backup").await;
        gains(&a.host, VIRTUAL).await;
        loses(&b.host, VIRTUAL).await;
    });
}

#[test]
fn cut_link_moves_the_address_and_the_cable_brings_it_back() {
    enclosed(async |mut world| {
        let endpoint = world.host("endpoint", &["192.0.2.9/24"]).unwrap();
        echo(&endpoint, "192.0.2.9:7".parse().unwrap());
        let (a, b) = pair(&mut world, &document(POOL)).await;
        a.host.set_cable(false).unwrap();
        b.is("active").await;
        let router = a.is("fault").await;
        assert_eq!(router.why, "the interface has no carrier");
        loses(&a.host, VIRTUAL).await;
        a.host.set_cable(true).unwrap();
        a.is("active").await;
        b.is("backup").await;
    });
}

#[test]
fn node_that_comes_back_stands_back_until_its_pools_are_probed_again() {
    enclosed(async |mut world| {
        let endpoint = world.host("endpoint", &["192.0.2.9/24"]).unwrap();
        echo(&endpoint, "192.0.2.9:7".parse().unwrap());
        // Once at the start, and never again while this test lasts.
        let rarely = document(POOL).replace("interval = \"100ms\"\ntimeout", "interval = \"1h\"\ntimeout");
        assert!(rarely.contains("1h"), "{rarely}");
        let (a, b) = pair(&mut world, &rarely).await;
        a.host.set_cable(false).unwrap();
        b.is("active").await;
        a.is("fault").await;
        a.host.set_cable(true).unwrap();
        let before = a.is("backup").await;
        assert_eq!(before.priority, 1);
        assert_eq!(
            before.lowered_by,
            [format!(
                "interface {INTERFACE} was down, and not all pools are probed again (stands back)"
            )]
        );
        a.router("advertisements of more than a second", |router| {
            count(router, "received") > count(&before, "received") + 15
        })
        .await;
        gains(&b.host, VIRTUAL).await;
        a.is("backup").await;
        // Better there than nowhere.
        b.host.set_cable(false).unwrap();
        a.is("active").await;
    });
}

#[test]
fn start_sweeps_what_a_killed_daemon_left() {
    enclosed(async |mut world| {
        // A long life for the address: 5 s.
        let slow = document("").replace("100ms", "1s");
        let (host, _) = hosts(&mut world);
        let killed = Daemon::start(&host, &slow);
        killed.is("active").await;
        killed.signal(Signal::SIGKILL);
        drop(killed);
        gains(&host, VIRTUAL).await;
        let started = Daemon::start(&host, &slow);
        let router = started.router("an answer", |_| true).await;
        assert_eq!(router.state, "backup");
        loses(&host, VIRTUAL).await;
    });
}

/// `catamaran sweep` on a host: whether it is content, and what it says.
fn sweep(host: &Host, admin: &Place) -> (bool, String) {
    let admin = format!("--admin={admin}");
    let mut command = Command::new(env!("CARGO_BIN_EXE_catamaran"));
    let output = host.within(|| command.args(["sweep", &admin]).output()).unwrap();
    (output.status.success(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn sweep_removes_what_a_killed_daemon_left_and_nothing_of_others() {
    enclosed(async |mut world| {
        // A long life for the address: 5 s.
        let slow = document("").replace("100ms", "1s");
        let (host, _) = hosts(&mut world);
        run(&host, &format!("ip address add 192.0.2.77/24 dev {INTERFACE}"));
        let daemon = Daemon::start(&host, &slow);
        daemon.is("active").await;
        daemon.signal(Signal::SIGKILL);
        let admin = daemon.admin.clone();
        drop(daemon);
        gains(&host, VIRTUAL).await;
        let (good, said) = sweep(&host, &admin);
        assert!(good && said.contains(VIRTUAL), "{said}");
        assert!(!has(&host, VIRTUAL) && has(&host, "192.0.2.77"));
        // Nothing is left, which is good too.
        assert_eq!(sweep(&host, &admin), (true, String::new()));
    });
}

#[test]
fn sweep_touches_nothing_while_a_daemon_runs() {
    enclosed(async |mut world| {
        let (host, _) = hosts(&mut world);
        let daemon = Daemon::start(&host, &document(""));
        daemon.is("active").await;
        let (good, said) = sweep(&host, &daemon.admin);
        assert!(!good && said.contains("a daemon is running here"), "{said}");
        assert!(has(&host, VIRTUAL));
    });
}

#[test]
fn address_that_somebody_else_has_left_is_spoken_of_and_not_removed() {
    enclosed(async |mut world| {
        let (host, _) = hosts(&mut world);
        run(&host, &format!("ip address add {VIRTUAL}/24 dev {INTERFACE}"));
        let a = Daemon::start(&host, &document(""));
        a.is("active").await;
        a.signal(Signal::SIGTERM);
        found("its log", async || {
            let file = format!("{}.log", host.name());
            let log = std::fs::read_to_string(Path::new(FOLDER).join(file)).unwrap();
            log.contains(&format!("ip address del {VIRTUAL}/24 dev {INTERFACE}"))
                .then_some(())
        })
        .await;
        gains(&host, VIRTUAL).await;
    });
}

#[test]
fn address_removed_by_hand_is_put_back_and_counted() {
    enclosed(async |mut world| {
        let (a, _b) = pair(&mut world, &document("")).await;
        run(&a.host, &format!("ip address del {VIRTUAL}/24 dev {INTERFACE}"));
        gains(&a.host, VIRTUAL).await;
        let router = a.is("active").await;
        assert_eq!(router.counters["put-back"], 1);
        assert_eq!(router.counters["became-active"], 1);
    });
}

#[test]
fn somebody_else_with_the_address_is_seen_and_counted() {
    enclosed(async |mut world| {
        let (a, b) = pair(&mut world, &document("")).await;
        // A machine of the link has it by mistake, and says so.
        let stranger = world.host("stranger", &["192.0.2.77/24"]).unwrap();
        let netlink = at(&stranger, Netlink::connect).unwrap();
        let index = netlink.link(INTERFACE).await.unwrap().unwrap().state.index;
        let announcer = at(&stranger, || Announcer::open(index)).unwrap();
        let claim = gratuitous_arp(
            [2, 0, 0, 0, 0, 77],
            VIRTUAL.parse().unwrap(),
            ArpOperation::Request,
        );
        let claims = |router: &RouterStatus| router.counters.contains_key("address-claimed-by-another");
        let seen = found("a claim that is counted", async || {
            announcer.send(&claim).unwrap();
            let router = a.status().await?.virtual_routers.pop()?;
            claims(&router).then_some(router)
        })
        .await;
        assert_eq!(seen.state, "active");
        b.is("backup").await;
    });
}

#[test]
fn yield_moves_the_address_for_as_long_as_it_lasts() {
    enclosed(async |mut world| {
        let (a, b) = pair(&mut world, &document("")).await;
        let time = Duration::from_secs(600);
        let answer = ask(&a.admin, Question::Yield(time)).await.unwrap();
        let status: Status = serde_json::from_str(&answer).unwrap();
        // The answer comes when it is done.
        assert_eq!(status.virtual_routers[0].state, "backup");
        assert_eq!(status.virtual_routers[0].priority, 1);
        gains(&b.host, VIRTUAL).await;
        loses(&a.host, VIRTUAL).await;
        ask(&a.admin, Question::TakeBack).await.unwrap();
        a.is("active").await;
        b.is("backup").await;
    });
}

#[test]
fn yield_with_nobody_else_keeps_the_address() {
    enclosed(async |mut world| {
        let (a, b) = pair(&mut world, &document("")).await;
        b.stop();
        let answer = ask(&a.admin, Question::Yield(Duration::from_secs(600)))
            .await
            .unwrap();
        let status: Status = serde_json::from_str(&answer).unwrap();
        assert_eq!(status.virtual_routers[0].state, "active");
        gains(&a.host, VIRTUAL).await;
    });
}

const POOL: &str = r#"
[listeners.front]
bind = ["*:6443"]
pool = "back"
[pools.back]
check = "tcp"
[pools.back.endpoints]
e = "192.0.2.9:7"
[checks.tcp]
plugin = "tcp"
interval = "100ms"
timeout = "50ms"
rise = 1
fall = 1
"#;

#[test]
fn connections_to_an_address_that_is_lost_are_reset_and_others_are_not() {
    enclosed(async |mut world| {
        let endpoint = world.host("endpoint", &["192.0.2.9/24"]).unwrap();
        echo(&endpoint, "192.0.2.9:7".parse().unwrap());
        let client = world.host("client", &["192.0.2.3/24"]).unwrap();
        let (a, _b) = pair(&mut world, &document(POOL)).await;
        let connect = |address: &str| {
            let address = format!("{address}:6443");
            let mut stream = client.within(|| TcpStream::connect(address)).unwrap();
            stream.set_read_timeout(Some(enclosed::PATIENCE)).unwrap();
            stream.write_all(b"a").unwrap();
            stream.read_exact(&mut [0]).unwrap();
            stream
        };
        let (mut virtual_one, mut own) = (connect(VIRTUAL), connect("192.0.2.1"));
        ask(&a.admin, Question::Yield(Duration::from_secs(600)))
            .await
            .unwrap();
        let ended = virtual_one.read(&mut [0]).unwrap_err();
        assert_eq!(ended.kind(), std::io::ErrorKind::ConnectionReset);
        own.write_all(b"b").unwrap();
        own.read_exact(&mut [0]).unwrap();
        // And a new connection finds the other one.
        connect(VIRTUAL);
    });
}

#[test]
fn connection_still_waiting_for_its_endpoint_does_not_outlive_the_address() {
    enclosed(async |mut world| {
        let endpoint = world.host("endpoint", &["192.0.2.9/24"]).unwrap();
        echo(&endpoint, "192.0.2.9:7".parse().unwrap());
        let client = world.host("client", &["192.0.2.3/24"]).unwrap();
        let patient = POOL.replace("fall = 1", "fall = 100") + "[daemon]\ndrain-timeout = \"10m\"\n";
        let (mut a, b) = pair(&mut world, &document(&patient)).await;
        found("a ready endpoint", async || {
            a.status().await?.pools[0].endpoints[0].ready.then_some(())
        })
        .await;
        endpoint.set_cable(false).unwrap();
        let address = format!("{VIRTUAL}:6443");
        let _waiting = client.within(|| TcpStream::connect(address)).unwrap();
        found("its connection", async || {
            (a.status().await?.listeners[0].connections == 1).then_some(())
        })
        .await;
        a.signal(Signal::SIGTERM);
        b.is("active").await;
        endpoint.set_cable(true).unwrap();
        // And not only when nobody waits for open connections any more.
        found("the end", async || a.process.try_wait().unwrap()).await;
    });
}

#[test]
fn node_whose_pool_has_no_endpoint_stands_back_and_equal_reachability_moves_nothing() {
    enclosed(async |mut world| {
        let endpoint = world.host("endpoint", &["192.0.2.9/24"]).unwrap();
        echo(&endpoint, "192.0.2.9:7".parse().unwrap());
        let tracking =
            document(POOL).replace("\"100ms\"\n\n", "\"100ms\"\ntrack = [{ pool = \"back\" }]\n\n");
        assert!(tracking.contains("track"), "{tracking}");
        let (a, b) = pair(&mut world, &tracking).await;
        // Only the first node cannot reach it.
        run(&a.host, "ip route add blackhole 192.0.2.9/32");
        b.is("active").await;
        let router = a.is("backup").await;
        assert_eq!(router.priority, 1);
        assert_eq!(
            router.lowered_by,
            ["no endpoint of pool back is ready (stands back)"]
        );
        // Now neither can: the address stays where it is.
        run(&b.host, "ip route add blackhole 192.0.2.9/32");
        b.router("low as well", |router| router.priority == 1).await;
        let before = a.is("backup").await;
        a.router("a few more advertisements", |router| {
            count(router, "received") > count(&before, "received") + 10
        })
        .await;
        gains(&b.host, VIRTUAL).await;
        loses(&a.host, VIRTUAL).await;
        run(&a.host, "ip route del blackhole 192.0.2.9/32");
        a.is("active").await;
    });
}

#[test]
fn node_takes_no_part_before_its_endpoints_were_probed_once() {
    enclosed(async |mut world| {
        let (host, _) = hosts(&mut world);
        // It accepts and says nothing: each probe takes all of its time.
        let _silent = host.within(|| TcpListener::bind("192.0.2.1:7")).unwrap();
        let slow = document(POOL)
            .replace(
                "interval = \"100ms\"\ntimeout = \"50ms\"",
                "interval = \"2s\"\ntimeout = \"2s\"\nconfig = { expect = \"x\" }",
            )
            .replace("192.0.2.9:7", "192.0.2.1:7");
        let daemon = Daemon::start(&host, &slow);
        let mut waited = false;
        found("a part in the election", async || {
            let status = daemon.status().await?;
            let takes_part = status.virtual_routers[0].state != "initialize";
            let known = status.pools[0].endpoints[0].health != "unknown";
            waited |= !takes_part;
            assert!(known || !takes_part, "{status:?}");
            takes_part.then_some(())
        })
        .await;
        assert!(waited, "it was never seen waiting");
    });
}

#[test]
fn tracked_file_lowers_the_priority_by_its_weight() {
    enclosed(async |mut world| {
        let file = Path::new(FOLDER).join("in-service");
        std::fs::write(&file, "").unwrap();
        let track = format!("track = [{{ file = {file:?}, weight = -150 }}]\n");
        let (a, b) = pair(&mut world, &format!("{NODES}{ROUTER}{track}")).await;
        std::fs::remove_file(&file).unwrap();
        // Both see the same file: 50 and 1.
        a.router("lower", |router| router.priority == 50).await;
        b.router("lower", |router| router.priority == 1).await;
        gains(&a.host, VIRTUAL).await;
        std::fs::write(&file, "").unwrap();
        a.router("as before", |router| router.priority == 200).await;
    });
}

#[test]
fn tracked_check_runs_against_the_node_itself() {
    enclosed(async |mut world| {
        let (a, b) = hosts(&mut world);
        let track = "track = [{ check = \"tcp\", port = 7 }]\n";
        let check =
            "[checks.tcp]\nplugin = \"tcp\"\ninterval = \"100ms\"\ntimeout = \"50ms\"\nfall = 1\nrise = 1\n";
        let tracking = format!("{NODES}{ROUTER}{track}{check}");
        // What the check asks for runs on the second node only.
        echo(&b, "192.0.2.2:7".parse().unwrap());
        let (a, b) = (Daemon::start(&a, &tracking), Daemon::start(&b, &tracking));
        b.is("active").await;
        let router = a.router("low", |router| router.priority == 1).await;
        assert_eq!(
            router.lowered_by,
            ["check tcp fails on this node, port 7 (stands back)"]
        );
        echo(&a.host, "192.0.2.1:7".parse().unwrap());
        a.is("active").await;
    });
}

#[test]
fn routers_of_a_sync_group_move_together_when_one_link_is_cut() {
    enclosed(async |mut world| {
        let (a, b) = hosts(&mut world);
        let second = "link add ens33 netns lb-a type veth peer name ens33 netns lb-b";
        let made = Command::new("ip").args(second.split(' ')).status().unwrap();
        assert!(made.success());
        for (host, address) in [(&a, "198.51.100.1/24"), (&b, "198.51.100.2/24")] {
            run(host, &format!("ip address add {address} dev ens33"));
            run(host, "ip link set ens33 up");
        }
        let both = document(
            r#"sync = "pair"

[virtual-routers.back]
vrid = 52
addresses = ["198.51.100.250/24"]
advertisement-interval = "100ms"
interface = "ens33"
sync = "pair"
"#,
        );
        let (a, b) = (Daemon::start(&a, &both), Daemon::start(&b, &both));
        let addresses = [VIRTUAL, "198.51.100.250"];
        for address in addresses {
            gains(&a.host, address).await;
        }
        a.host.set_cable(false).unwrap();
        for address in addresses {
            gains(&b.host, address).await;
            loses(&a.host, address).await;
        }
        let [_, back] = &a.status().await.unwrap().virtual_routers[..] else {
            panic!("two routers");
        };
        assert_eq!(
            back.lowered_by,
            ["virtual router front: the interface has no carrier"]
        );
        a.host.set_cable(true).unwrap();
        for address in addresses {
            gains(&a.host, address).await;
            loses(&b.host, address).await;
        }
    });
}

// Known fault of others: routers of one VRID in both families disturb each other.
#[test]
fn same_vrid_in_both_families_makes_two_elections() {
    enclosed(async |mut world| {
        let both = document(
            r#"
[virtual-routers.six]
vrid = 51
addresses = ["fd00:51::250/64"]
advertisement-interval = "100ms"
"#,
        );
        let (a, b) = hosts(&mut world);
        let (a, b) = (Daemon::start(&a, &both), Daemon::start(&b, &both));
        let all_are = async |daemon: &Daemon, state: &str| {
            found(state, async || {
                let routers = daemon.status().await?.virtual_routers;
                (routers.len() == 2 && routers.iter().all(|router| router.state == state)).then_some(())
            })
            .await;
        };
        all_are(&a, "active").await;
        all_are(&b, "backup").await;
        assert!(has(&a.host, "fd00:51::250"));
        a.signal(Signal::SIGKILL);
        all_are(&b, "active").await;
        loses(&a.host, "fd00:51::250").await;
        for router in b.status().await.unwrap().virtual_routers {
            assert_eq!(router.counters.get("malformed"), None, "{router:?}");
        }
    });
}

// Known fault of others: a start before the interface is there fails.
#[test]
fn daemon_waits_for_an_interface_that_is_not_there_yet() {
    enclosed(async |mut world| {
        let (host, _) = hosts(&mut world);
        let late = document("").replace("ens32", "late0");
        let daemon = Daemon::start(&host, &late);
        let router = daemon.is("fault").await;
        assert_eq!(router.why, "the interface does not exist");
        run(&host, "ip link add late0 type veth peer name other0");
        run(&host, "ip link set other0 up");
        run(&host, "ip address add 192.0.2.1/24 dev late0");
        run(&host, "ip link set late0 up");
        daemon.is("active").await;
        gains(&host, VIRTUAL).await;
    });
}

#[test]
fn daemon_without_a_capability_names_it_and_ends() {
    enclosed(async |mut world| {
        let (host, _) = hosts(&mut world);
        let file = Path::new(FOLDER).join("cluster.toml");
        std::fs::write(&file, document("")).unwrap();
        for (lacking, named) in [("net_admin", "NET_ADMIN"), ("net_raw", "NET_RAW")] {
            let mut command = Command::new("setpriv");
            command
                .args([&format!("--bounding-set=-{lacking}"), "--"])
                .arg(env!("CARGO_BIN_EXE_catamaran"))
                .args(["run", "--node", "lb-a", "--config"])
                .arg(&file);
            let output = host.within(|| command.output()).unwrap();
            assert_eq!(output.status.code(), Some(1));
            let said = String::from_utf8(output.stderr).unwrap();
            assert!(said.contains(&format!("lacks {named}: grant with")), "{said}");
            assert!(said.contains("--cap-add=NET_ADMIN,NET_RAW"), "{said}");
        }
    });
}

#[test]
fn unicast_goes_to_the_nodes_of_the_document() {
    enclosed(async |mut world| {
        let unicast = document("").replace("\"100ms\"", "\"100ms\"\nunicast = true");
        let (a, b) = pair(&mut world, &unicast).await;
        a.stop();
        b.is("active").await;
    });
}

// The kernel has one lock for all changes of networks, and may keep it for long:
// whoever starts or ends many containers does that.
#[test]
fn active_advertises_while_the_kernel_is_busy_with_other_networks() {
    enclosed(async |mut world| {
        let crowded = world.host("crowded", &["192.0.2.3/24"]).unwrap();
        // Removing the first address removes all of its network, in one go.
        let addresses = (0..80).flat_map(|high| (0..250).map(move |low| (high, low)));
        let lines: String = addresses
            .map(|(high, low)| format!("address add 10.0.{high}.{low}/8 dev lo\n"))
            .collect();
        let batch = Path::new(FOLDER).join("batch");
        std::fs::write(&batch, lines).unwrap();
        run(&crowded, &format!("ip -batch {}", batch.display()));

        // The addresses are renewed every 0.7 s; a backup waits for 0.3 s.
        let (a, b) = pair(&mut world, &document("")).await;
        let changes = async |daemon: &Daemon| {
            let router = daemon.router("an answer", |_| true).await;
            let count = |word: &str| router.counters.get(word).copied().unwrap_or(0);
            count("became-active") + count("became-backup")
        };
        let before = (changes(&a).await, changes(&b).await);
        let began = Instant::now();
        run(&crowded, "ip address del 10.0.0.0/8 dev lo");
        assert!(
            began.elapsed() > Duration::from_millis(300),
            "the kernel was not busy"
        );
        assert_eq!((changes(&a).await, changes(&b).await), before);
    });
}
