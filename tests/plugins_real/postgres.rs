//! `postgres` against PostgreSQL.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use catamaran::pure::config::Tls;
use tempfile::TempDir;

use super::certificates::Certificates;
use super::{Cause, Check, Server, enclosed, installed, packaged, settle, unverified};

/// PostgreSQL refuses to run as root; this is `nobody`, whom every system has.
const NOBODY: u32 = 65534;

/// Who comes in how. The last line lets the standby in.
const DOORS: &str = "\
host all scram  127.0.0.1/32 scram-sha-256
host all md     127.0.0.1/32 md5
host all clear  127.0.0.1/32 password
host all nobody 127.0.0.1/32 reject
hostssl all secure 127.0.0.1/32 trust
host all all    127.0.0.1/32 trust
host replication all 127.0.0.1/32 trust
";

/// Servers and their tools, with data in a folder.
struct Postgres {
    programs: PathBuf,
    folder: TempDir,
}

impl Postgres {
    /// None where it cannot run, which has been said.
    fn find() -> Option<Self> {
        let root = nix::unistd::geteuid().is_root();
        let why = (!root).then(|| "PostgreSQL is started as another user, which needs root".into());
        if !installed::possible(why) || !packaged(&[("psql", "postgresql")]) {
            return None;
        }
        let versions = fs::read_dir("/usr/lib/postgresql")
            .into_iter()
            .flatten()
            .flatten();
        let programs = versions.map(|version| version.path().join("bin")).max();
        if !installed::possible(programs.is_none().then(|| "apt-get install postgresql".into())) {
            return None;
        }
        let folder = TempDir::new().unwrap();
        chown(folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        Some(Self {
            programs: programs?,
            folder,
        })
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("setpriv");
        command
            .args([format!("--reuid={NOBODY}"), format!("--regid={NOBODY}")])
            .args(["--clear-groups", "--"])
            .arg(self.programs.join(program))
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        command
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let output = self.command(program).args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {arguments:?}: {said}");
    }

    fn initialise(&self, name: &str) {
        self.run(
            "initdb",
            &[
                "-D",
                name,
                "-U",
                "postgres",
                "-A",
                "trust",
                "--no-sync",
                "--locale=C",
            ],
        );
        self.write(&format!("{name}/pg_hba.conf"), DOORS);
    }

    fn start(&self, name: &str, port: u16, more: &[&str]) -> Server {
        let mut command = self.command("postgres");
        command.args(["-D", name, "-p", &port.to_string(), "-F", "-k", ""]);
        command.args(["-c", "listen_addresses=127.0.0.1"]).args(more);
        Server(
            command
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap(),
        )
    }

    /// A file that the server can read and others cannot.
    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }
}

fn query(text: &str) {
    let output = Command::new("psql")
        .args([
            "-h",
            "127.0.0.1",
            "-U",
            "postgres",
            "-v",
            "ON_ERROR_STOP=1",
            "-qc",
            text,
        ])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn every_way_to_log_in_is_known() {
    let Some(postgres) = Postgres::find() else { return };
    drop(postgres);
    enclosed::enclosed_as_root(async |mut world| {
        settle(&mut world);
        let postgres = Postgres::find().unwrap();
        let check = Check::of("postgres");
        postgres.initialise("data");
        let _server = postgres.start("data", 5432, &[]);
        check.finds(5432, "{}", Cause::Healthy, "not ours: 28000").await;
        query("SET password_encryption = 'scram-sha-256'; CREATE USER scram PASSWORD 'wonder'");
        query("SET password_encryption = 'md5'; CREATE USER md PASSWORD 'wonder'");
        query("CREATE USER clear PASSWORD 'wonder'; CREATE USER catamaran; CREATE USER secure");
        check.finds(5432, "{}", Cause::Healthy, "PostgreSQL 1").await;

        for user in ["scram", "md", "clear"] {
            let with =
                |password: &str| format!(r#"{{"user":"{user}","password":"{password}","target":"primary"}}"#);
            check
                .finds(5432, &with("wonder"), Cause::Healthy, ", primary")
                .await;
            let wrong = check.probe(5432, &with("guess")).await;
            assert_eq!(wrong.cause, Cause::Unhealthy, "{wrong}");
            assert!(wrong.detail.contains("is wrong: 28P01"), "{wrong}");
            let alive = check.probe(5432, &format!(r#"{{"user":"{user}"}}"#)).await;
            assert_eq!(alive.cause, Cause::Healthy, "{alive}");
            assert!(alive.detail.starts_with("it asks for a password"), "{alive}");
            let unknown = check
                .probe(5432, &format!(r#"{{"user":"{user}","target":"primary"}}"#))
                .await;
            assert_eq!(unknown.cause, Cause::Unhealthy, "{unknown}");
        }
        let rejected = check.probe(5432, r#"{"user":"nobody","password":"x"}"#).await;
        assert!(rejected.detail.contains("pg_hba.conf"), "{rejected}");
        let nowhere = check.probe(5432, r#"{"database":"none","password":"x"}"#).await;
        assert!(nowhere.detail.contains("no such `database`"), "{nowhere}");
        let tls = Check::of("postgres")
            .with_tls(&unverified())
            .probe(5432, "{}")
            .await;
        assert_eq!(tls.cause, Cause::Unhealthy, "{tls}");
        assert!(tls.detail.contains("ssl = off"), "{tls}");
    });
}

#[test]
fn primary_and_standby_are_told_apart_also_over_tls() {
    let Some(postgres) = Postgres::find() else { return };
    drop(postgres);
    enclosed::enclosed_as_root(async |mut world| {
        settle(&mut world);
        let postgres = Postgres::find().unwrap();
        let check = Check::of("postgres");
        let certificates = Certificates::new(postgres.path());
        let issued = certificates.issue("server");
        postgres.write("tls.crt", fs::read(issued.certificate).unwrap());
        postgres.write("tls.key", fs::read(issued.key).unwrap());
        postgres.initialise("primary");
        let (certificate, key) = (postgres.path().join("tls.crt"), postgres.path().join("tls.key"));
        let tls = [
            "-c",
            "ssl=on",
            "-c",
            &format!("ssl_cert_file={}", certificate.display()),
            "-c",
            &format!("ssl_key_file={}", key.display()),
        ];
        let primary = postgres.start("primary", 5432, &tls);
        let anyone = r#"{"user":"postgres","target":"primary"}"#;
        check.finds(5432, anyone, Cause::Healthy, ", primary").await;
        query("CREATE USER secure");

        let trusting = Tls {
            verify: true,
            ca: Some(certificates.authority()),
            ..unverified()
        };
        let secure = Check::of("postgres").with_tls(&trusting);
        let only_with_tls = r#"{"user":"secure","password":"unused","target":"read-write"}"#;
        let found = secure.probe(5432, only_with_tls).await;
        assert_eq!(found.cause, Cause::Healthy, "{found}");
        let elsewhere = Check::of("postgres").with_tls(&Tls {
            verify: true,
            ..unverified()
        });
        assert_eq!(elsewhere.probe(5432, "{}").await.cause, Cause::Tls);

        // By hand: the request for TLS, the handshake, a startup message.
        let steps = r#"{"steps":[
            {"connect":{"defer-tls":true}}, {"send-hex":"00000008 04d2162f"}, {"expect":"S"}, {"start-tls":true},
            {"send-hex":"00000015 00030000 7573657200 73656375726500 00"}, {"comment":"user and database","expect":"database \"secure\" does not exist"}
        ]}"#;
        let script = Check::of("script").with_tls(&trusting).probe(5432, steps).await;
        assert_eq!(script.cause, Cause::Healthy, "{script}");

        postgres.run(
            "pg_basebackup",
            &[
                "-h",
                "127.0.0.1",
                "-U",
                "postgres",
                "-D",
                "standby",
                "-R",
                "-N",
                "-c",
                "fast",
            ],
        );
        let _standby = postgres.start("standby", 5433, &tls);
        let standby = r#"{"user":"postgres","target":"standby"}"#;
        check.finds(5433, standby, Cause::Healthy, ", standby").await;
        let other = check.probe(5433, anyone).await;
        assert_eq!(other.cause, Cause::Unhealthy, "{other}");
        assert!(other.detail.ends_with("standby, expected a primary"), "{other}");
        let other = check.probe(5432, standby).await;
        assert!(other.detail.ends_with("primary, expected a standby"), "{other}");

        drop(primary);
        check.finds(5433, standby, Cause::Healthy, ", standby").await;
        assert_eq!(check.probe(5432, anyone).await.cause, Cause::Refused);
    });
}
