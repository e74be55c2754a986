//! `mysql` against MariaDB.

use std::fs;
use std::io::Read;
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};

use catamaran::pure::config::Tls;
use nix::mount::MsFlags;
use tempfile::TempDir;

use super::certificates::Certificates;
use super::{Cause, Check, Server, enclosed, installed, packaged, settle, unverified};

const PORT: u16 = 3306;

/// A row of the table of accounts.
macro_rules! account {
    ($name:literal, $password:literal) => {
        concat!(
            "INSERT INTO global_priv VALUES ('%', '",
            $name,
            "', '{\"access\":0,\"plugin\":\"mysql_native_password\",\"authentication_string\":\"",
            $password,
            "\"}');\n"
        )
    };
}

/// The system's tables, without which a server does not start.
const TABLES: &str = "/usr/share/mysql/mysql_system_tables.sql";

/// Someone who may come from anywhere. Without one, whoever comes from another
/// machine is not even greeted.
const SOMEONE: &str = account!("someone", "*0123456789ABCDEF0123456789ABCDEF01234567");
/// The user whom probes name, without a password.
const CATAMARAN: &str = account!("catamaran", "");

/// Whether it can be had; otherwise this has been said.
fn is_here() -> bool {
    packaged(&[("mariadbd", "mariadb-server-core")])
}

/// A server with data of its own in a folder, which is made at the first start.
struct Mariadb {
    folder: TempDir,
}

impl Mariadb {
    fn new(accounts: &str) -> Self {
        let mariadb = Self {
            folder: TempDir::new().unwrap(),
        };
        fs::create_dir_all(mariadb.path("data/mysql")).unwrap();
        let tables = fs::read_to_string(TABLES).unwrap();
        let script = mariadb.path("tables.sql");
        fs::write(&script, format!("USE mysql;\n{tables}\n{accounts}")).unwrap();
        let output = installed::program_of_root("mariadbd")
            .args(mariadb.always())
            .arg("--bootstrap")
            .stdin(fs::File::open(script).unwrap())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        mariadb
    }

    /// `more` are further options.
    fn start(&self, more: &[String]) -> Server {
        let listen = [
            format!("--port={PORT}"),
            format!("--socket={}", self.path("socket").display()),
            "--general-log".into(),
            format!("--general-log-file={}", self.path("log").display()),
        ];
        let words = self.always().into_iter().chain(listen);
        Server::start("mariadbd", words.chain(more.iter().cloned()))
    }

    fn always(&self) -> [String; 6] {
        [
            "--no-defaults".into(),
            format!("--datadir={}", self.path("data").display()),
            // Temporary files have the process's number in their names, which
            // in another enclosure another server has, too.
            format!("--tmpdir={}", self.folder.path().display()),
            "--user=root".into(),
            "--innodb-log-file-size=4M".into(),
            "--innodb-buffer-pool-size=8M".into(),
        ]
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Wait until the log of connections and questions says that.
    async fn logs(&self, text: &str) {
        let look = async || {
            let log = fs::read(self.path("log")).unwrap_or_default();
            String::from_utf8_lossy(&log).contains(text).then_some(())
        };
        enclosed::found(text, look).await;
    }
}

#[test]
fn server_greets_until_its_connections_are_taken() {
    if !is_here() {
        return;
    }
    enclosed::enclosed(async |mut world| {
        settle(&mut world);
        let check = Check::of("mysql");
        assert_eq!(check.probe(PORT, "{}").await.cause, Cause::Refused);
        let mariadb = Mariadb::new(CATAMARAN);
        // The fewest that it takes.
        let _server = mariadb.start(&["--max-connections=10".into()]);
        let greets = check.finds(PORT, "{}", Cause::Healthy, "MariaDB").await;
        assert!(greets.detail.as_bytes()[0].is_ascii_digit(), "{greets}");
        assert!(!greets.detail.starts_with("5.5.5-"), "{greets}");
        mariadb.logs("Connect\tcatamaran@localhost").await;
        mariadb.logs("Quit").await;

        let (major, _) = greets.detail.split_once('.').unwrap();
        let same = check
            .probe(PORT, &format!(r#"{{"version":"{major}-MariaDB"}}"#))
            .await;
        assert_eq!(same.cause, Cause::Healthy, "{same}");
        let other = check.probe(PORT, r#"{"version":"8.0"}"#).await;
        assert_eq!(
            (other.cause, other.detail),
            (Cause::Degraded, format!("{}, expected 8.0", greets.detail))
        );
        let tls = Check::of("mysql").with_tls(&unverified()).probe(PORT, "{}").await;
        assert_eq!(tls.cause, Cause::Unhealthy, "{tls}");
        assert!(tls.detail.contains("have_ssl"), "{tls}");

        // One more is kept for whoever may end the others.
        let taken: Vec<_> = (0..11).map(|_| connected(Ipv4Addr::LOCALHOST)).collect();
        check
            .finds(PORT, "{}", Cause::Unhealthy, "1040 \"Too many connections\"")
            .await;
        drop(taken);
        check.finds(PORT, "{}", Cause::Healthy, "MariaDB").await;
    });
}

#[test]
fn tls_begins_after_the_greeting() {
    if !is_here() {
        return;
    }
    enclosed::enclosed(async |mut world| {
        settle(&mut world);
        let mariadb = Mariadb::new(SOMEONE);
        let certificates = Certificates::new(mariadb.folder.path());
        let issued = certificates.issue("server");
        let _server = mariadb.start(&[
            format!("--ssl-cert={}", issued.certificate.display()),
            format!("--ssl-key={}", issued.key.display()),
            "--require-secure-transport".into(),
        ]);
        // In the clear it lets nobody in, and says so to those it has greeted.
        let clear = Check::of("mysql");
        clear.finds(PORT, "{}", Cause::Healthy, "MariaDB").await;
        let trusting = Check::of("mysql").with_tls(&Tls {
            verify: true,
            ca: Some(certificates.authority()),
            ..unverified()
        });
        let found = trusting.probe(PORT, "{}").await;
        assert_eq!(found.cause, Cause::Healthy, "{found}");
        mariadb
            .logs("Access denied for user 'catamaran'@'localhost'")
            .await;
        let elsewhere = Check::of("mysql").with_tls(&Tls {
            verify: true,
            ..unverified()
        });
        assert_eq!(elsewhere.probe(PORT, "{}").await.cause, Cause::Tls);
    });
}

/// Servers count only those whose name they know, which is never said of
/// loopback addresses.
#[test]
fn probes_do_not_count_as_broken_handshakes() {
    if !is_here() {
        return;
    }
    enclosed::enclosed(async |mut world| {
        let address = Ipv4Addr::new(198, 51, 100, 1);
        let here = world.host("here", &["198.51.100.1/24"]).unwrap();
        here.enter().unwrap();
        let check = Check::of("mysql");
        let probe = async || check.probe_at((address, PORT).into(), "{}").await;
        let finds = async |text: &str| {
            let found = async || Some(probe().await).filter(|found| found.detail.contains(text));
            enclosed::found(text, found).await
        };

        let nobody = Mariadb::new("");
        name_hosts(
            &nobody.path("hosts"),
            "198.51.100.1 balancer\n127.0.0.1 localhost\n",
        );
        let server = nobody.start(&[]);
        let found = finds("it lets nobody in from this host: 1130").await;
        assert_eq!(found.cause, Cause::Unhealthy, "{found}");
        drop(server);

        let mariadb = Mariadb::new(SOMEONE);
        let _server = mariadb.start(&["--max-connect-errors=2".into()]);
        finds("MariaDB").await;
        for _ in 0..10 {
            let found = probe().await;
            assert_eq!(found.cause, Cause::Healthy, "{found}");
        }
        mariadb
            .logs("Access denied for user 'catamaran'@'balancer'")
            .await;
        // Nor do those that wanted TLS, which this server does not have, count.
        let secure = Check::of("mysql").with_tls(&unverified());
        for _ in 0..10 {
            let found = secure.probe_at((address, PORT).into(), "{}").await;
            assert!(found.detail.contains("have_ssl"), "{found}");
        }
        finds("MariaDB").await;

        // What it would come to if they left after the greeting.
        let found = async || {
            connected(address).read_exact(&mut [0; 4]).ok()?;
            Some(probe().await).filter(|found| found.cause == Cause::Unhealthy)
        };
        let blocked = enclosed::found("a blocked host", found).await;
        assert!(blocked.detail.contains("(max_connect_errors): 1129"), "{blocked}");
    });
}

fn connected(address: Ipv4Addr) -> TcpStream {
    TcpStream::connect((address, PORT)).unwrap()
}

/// Let everybody in this enclosure know other hosts by name.
fn name_hosts(file: &Path, text: &str) {
    fs::write(file, text).unwrap();
    let none = None::<&str>;
    nix::mount::mount(Some(file), "/etc/hosts", none, MsFlags::MS_BIND, none).unwrap();
}
