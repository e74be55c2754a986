//! The scripts that a cluster's machines run, with real openssl and curl.
//!
//! kubeadm is a stand-in that writes down how it was called: what is tested is when it is called, with
//! what, and what is left when it fails. A stand-in for an apiserver speaks real TLS.

#[path = "support/installed.rs"]
mod installed;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;

use installed::installed;
use tempfile::TempDir;
use yaml_rust2::{Yaml, YamlLoader};

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("nixos-modules")
        .join(name)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn read(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn openssl(arguments: &[&str]) -> String {
    let output = Command::new("openssl").args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

fn make_secrets(folder: &Path) -> Output {
    Command::new("bash")
        .arg(script("secrets/cluster-secrets.sh"))
        .arg(folder)
        .output()
        .unwrap()
}

/// Secrets that are made once for all tests.
fn secrets() -> &'static Path {
    static SECRETS: OnceLock<TempDir> = OnceLock::new();
    let folder = SECRETS.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let output = make_secrets(folder.path());
        assert!(output.status.success(), "{}", text(&output.stderr));
        folder
    });
    folder.path()
}

fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let mut contents: Vec<_> = entries
        .map(|entry| {
            (
                entry.file_name().into_string().unwrap(),
                fs::read(entry.path()).unwrap(),
            )
        })
        .collect();
    contents.sort();
    contents
}

#[test]
fn secrets_are_what_kubeadm_and_etcd_take() {
    if !installed(&["openssl"]) {
        return;
    }
    let at = |name: &str| secrets().join(name).to_str().unwrap().to_string();
    for (authority, name) in [
        ("kubernetes-ca", "kubernetes"),
        ("front-proxy-ca", "front-proxy-ca"),
        ("etcd-ca", "etcd-ca"),
    ] {
        let certificate = at(&format!("{authority}.crt"));
        openssl(&["verify", "-x509_strict", "-CAfile", &certificate, &certificate]);
        let shown = openssl(&[
            "x509",
            "-in",
            &certificate,
            "-noout",
            "-subject",
            "-ext",
            "basicConstraints,keyUsage",
        ]);
        for wanted in [name, "CA:TRUE", "Certificate Sign"] {
            assert!(shown.contains(wanted), "{authority}: {wanted}: {shown}");
        }
        let of_certificate = openssl(&["x509", "-in", &certificate, "-noout", "-pubkey"]);
        let of_key = openssl(&["pkey", "-in", &at(&format!("{authority}.key")), "-pubout"]);
        assert_eq!(of_certificate, of_key, "{authority}");
    }
    let authority = at("etcd-ca.crt");
    openssl(&[
        "verify",
        "-x509_strict",
        "-purpose",
        "sslclient",
        "-CAfile",
        &authority,
        &at("etcd-client.crt"),
    ]);
    let public = openssl(&["pkey", "-in", &at("service-account.key"), "-pubout"]);
    assert_eq!(public, read(at("service-account.pub")));

    let token = read(at("bootstrap-token"));
    let (id, secret) = token.trim_end().split_once('.').unwrap();
    assert_eq!((id.len(), secret.len()), (6, 16), "{token}");
    assert_eq!(read(at("certificate-key")).trim_end().len(), 64);
    assert_eq!(read(at("vrrp-password")).trim_end().len(), 8);
}

#[test]
fn secrets_are_their_owners_alone() {
    if !installed(&["openssl"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("deep/er");
    assert!(make_secrets(&place).status.success());
    assert_eq!(mode(&place), 0o700);
    let made = contents(&place);
    assert_eq!(made.len(), 13);
    for (name, _) in made {
        assert_eq!(mode(&place.join(&name)), 0o600, "{name}");
    }
}

#[test]
fn second_time_changes_no_secret() {
    if !installed(&["openssl"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    assert!(make_secrets(folder.path()).status.success());
    let before = contents(folder.path());
    fs::remove_file(folder.path().join("bootstrap-token")).unwrap();

    let output = make_secrets(folder.path());

    assert!(output.status.success());
    let said = text(&output.stdout);
    assert!(
        said.contains("kept   kubernetes-ca.key kubernetes-ca.crt"),
        "{said}"
    );
    assert!(said.contains("made   bootstrap-token"), "{said}");
    for ((name, before), (_, after)) in before.iter().zip(contents(folder.path())) {
        assert_eq!(*before == after, name != "bootstrap-token", "{name}");
    }
}

#[test]
fn half_a_pair_of_secrets_is_no_ground_to_go_on_from() {
    if !installed(&["openssl"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("kubernetes-ca.crt"), "x").unwrap();
    let output = make_secrets(folder.path());
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(
        said.contains("only one of kubernetes-ca.key and kubernetes-ca.crt"),
        "{said}"
    );
    assert_eq!(contents(folder.path()).len(), 1);
}

/// An etcd member's place for its certificate.
struct Member {
    folder: TempDir,
}

impl Member {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (from, to) in [("etcd-ca.crt", "ca.crt"), ("etcd-ca.key", "ca.key")] {
            fs::copy(secrets().join(from), folder.path().join(to)).unwrap();
        }
        fs::create_dir(folder.path().join("made")).unwrap();
        Self { folder }
    }

    fn at(&self, name: &str) -> String {
        self.folder
            .path()
            .join("made")
            .join(name)
            .to_str()
            .unwrap()
            .to_string()
    }

    fn run(&self, names: &str, settings: &[(&str, &str)]) -> String {
        let output = Command::new("bash")
            .arg(script("etcd/certificates.sh"))
            .env("CREDENTIALS_DIRECTORY", self.folder.path())
            .env("CERTIFICATES", self.folder.path().join("made"))
            .env("MEMBER", "etcd1")
            .env("NAMES", names)
            .envs(settings.iter().copied())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    }
}

const NAMES: &str = "DNS:etcd1,DNS:localhost,IP:192.0.2.1,IP:127.0.0.1,IP:::1";

#[test]
fn etcd_member_gets_a_certificate_for_both_sides_of_a_connection() {
    if !installed(&["openssl"]) {
        return;
    }
    let member = Member::new();
    assert!(member.run(NAMES, &[]).contains("there is none"));
    let (authority, certificate) = (member.at("ca.crt"), member.at("member.crt"));
    for purpose in ["sslserver", "sslclient"] {
        let verify = [
            "verify",
            "-x509_strict",
            "-purpose",
            purpose,
            "-verify_ip",
            "192.0.2.1",
        ];
        openssl(&[&verify[..], &["-CAfile", &authority, &certificate]].concat());
    }
    assert_eq!(mode(Path::new(&member.at("member.key"))), 0o640);
    assert!(!Path::new(&member.at("ca.key")).exists());
}

#[test]
fn etcd_members_certificate_is_made_again_when_it_has_to() {
    if !installed(&["openssl"]) {
        return;
    }
    let member = Member::new();
    member.run(NAMES, &[]);
    let first = read(member.at("member.crt"));
    assert!(member.run(NAMES, &[]).contains("is good"));
    assert_eq!(read(member.at("member.crt")), first);

    let said = member.run("DNS:etcd1,IP:192.0.2.9", &[]);
    assert!(said.contains("the names changed"), "{said}");
    let said = member.run("DNS:etcd1,IP:192.0.2.9", &[("RENEW_DAYS", "366")]);
    assert!(said.contains("it ends soon"), "{said}");
    // Another authority.
    fs::copy(
        secrets().join("kubernetes-ca.crt"),
        member.folder.path().join("ca.crt"),
    )
    .unwrap();
    fs::copy(
        secrets().join("kubernetes-ca.key"),
        member.folder.path().join("ca.key"),
    )
    .unwrap();
    let said = member.run("DNS:etcd1,IP:192.0.2.9", &[]);
    assert!(said.contains("not of this authority"), "{said}");
    openssl(&[
        "verify",
        "-CAfile",
        &member.at("ca.crt"),
        &member.at("member.crt"),
    ]);
}

/// An apiserver, as far as strangers see it: `openssl s_server`, which answers 200 below `/`.
struct Apiserver {
    process: Child,
    port: u16,
    _folder: TempDir,
}

impl Apiserver {
    /// With a certificate of one of the secret authorities.
    fn of(authority: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).to_str().unwrap().to_string();
        let ca = |kind: &str| {
            secrets()
                .join(format!("{authority}.{kind}"))
                .to_str()
                .unwrap()
                .to_string()
        };
        let key = [
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-keyout",
            &at("key"),
        ];
        let signed = [
            "-CA",
            &ca("crt"),
            "-CAkey",
            &ca("key"),
            "-out",
            &at("crt"),
            "-days",
            "1",
        ];
        let named = [
            "-subj",
            "/CN=kube-apiserver",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
        ];
        openssl(&[&key[..], &signed, &named].concat());
        let mut process = Command::new("openssl")
            .args([
                "s_server",
                "-accept",
                "127.0.0.1:0",
                "-www",
                "-key",
                &at("key"),
                "-cert",
                &at("crt"),
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let port = lines.find_map(|line| {
            let line = line.unwrap();
            line.strip_prefix("ACCEPT 127.0.0.1:")
                .map(|port| port.parse().unwrap())
        });
        // What it says later has nowhere to block.
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            process,
            port: port.unwrap(),
            _folder: folder,
        }
    }

    fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }
}

impl Drop for Apiserver {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// A machine that is to become a member, with a kubeadm that writes down its calls.
struct Machine {
    folder: TempDir,
    endpoint: String,
    others: String,
}

/// Where nobody listens: port 0 cannot be connected to.
const NOBODY: &str = "https://127.0.0.1:0";

impl Machine {
    fn new(endpoint: &str) -> Self {
        let machine = Self {
            folder: tempfile::tempdir().unwrap(),
            endpoint: endpoint.to_string(),
            others: String::new(),
        };
        for folder in ["bin", "credentials", "state", "run", "etc/kubernetes"] {
            fs::create_dir_all(machine.at(folder)).unwrap();
        }
        for (from, to) in [
            ("kubernetes-ca.crt", "ca.crt"),
            ("bootstrap-token", "bootstrap-token"),
            ("certificate-key", "certificate-key"),
            ("kubernetes-ca.crt", "pki_ca.crt"),
            ("kubernetes-ca.key", "pki_ca.key"),
            ("etcd-ca.key", "pki_etcd_ca.key"),
        ] {
            fs::copy(secrets().join(from), machine.at("credentials").join(to)).unwrap();
        }
        machine.write(
            "init.yaml",
            "{\"token\":\"@bootstrap-token@\",\"key\":\"@certificate-key@\"}\n",
        );
        machine.write("join.yaml", "{\"token\":\"@bootstrap-token@\"}\n");
        // Keeps what it was given, since the unit's folder goes with the unit.
        machine.program(
            "kubeadm",
            "call=$(echo \"$*\" | sed \"s:$MACHINE::g\")\n\
             echo \"$call\" >>\"$MACHINE/calls\"\n\
             while [ $# -gt 0 ]; do [ \"$1\" != --config ] || cp \"$2\" \"$MACHINE/config\"; shift; done\n\
             cp \"$STATE_DIRECTORY/begun\" \"$MACHINE/begun-meanwhile\" 2>/dev/null\n\
             [ \"$call\" != \"$(cat \"$MACHINE/kubeadm-fails-at\" 2>/dev/null)\" ]",
        );
        machine
    }

    fn at(&self, place: &str) -> PathBuf {
        self.folder.path().join(place)
    }

    fn write(&self, place: &str, text: &str) {
        fs::create_dir_all(self.at(place).parent().unwrap()).unwrap();
        fs::write(self.at(place), text).unwrap();
    }

    fn program(&self, name: &str, body: &str) {
        let place = format!("bin/{name}");
        self.write(&place, &format!("#!/bin/sh\n{body}\n"));
        fs::set_permissions(self.at(&place), fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn run(&self, how: &str) -> Output {
        let path = format!("{}:{}", self.at("bin").display(), std::env::var("PATH").unwrap());
        Command::new("bash")
            .arg(script("kubernetes/bootstrap.sh"))
            .arg(how)
            .env("PATH", path)
            .env("MACHINE", self.folder.path())
            .env("ENDPOINT", &self.endpoint)
            .env("OTHER_APISERVERS", &self.others)
            .env("CREDENTIALS_DIRECTORY", self.at("credentials"))
            .env("STATE_DIRECTORY", self.at("state"))
            .env("RUNTIME_DIRECTORY", self.at("run"))
            .env("KUBERNETES_DIRECTORY", self.at("etc/kubernetes"))
            .env("INIT_TEMPLATE", self.at("init.yaml"))
            .env("JOIN_TEMPLATE", self.at("join.yaml"))
            .env("WAIT_SECONDS", "0")
            .env("LOOK_SECONDS", "0")
            .output()
            .unwrap()
    }

    fn good(&self, how: &str) -> String {
        let output = self.run(how);
        assert!(
            output.status.success(),
            "{}{}",
            text(&output.stdout),
            text(&output.stderr)
        );
        text(&output.stdout)
    }

    /// What is said when it fails.
    fn refused(&self, how: &str) -> String {
        let output = self.run(how);
        assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
        text(&output.stderr)
    }

    fn calls(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.at("calls")).unwrap_or_default();
        calls
            .lines()
            .map(|call| call.replace(self.folder.path().to_str().unwrap(), ""))
            .collect()
    }
}

fn tools() -> bool {
    installed(&["openssl", "curl"])
}

const INIT_CHECKED: &str = "init phase preflight --config /run/init.yaml";
const INIT: &str = "init --config /run/init.yaml --skip-phases preflight --upload-certs \
                    --skip-token-print --skip-certificate-key-print";
const JOIN_CHECKED: &str = "join phase preflight --config /run/join.yaml";
const JOIN: &str = "join --config /run/join.yaml --skip-phases preflight";

#[test]
fn first_control_plane_makes_the_cluster_where_there_is_none() {
    if !tools() {
        return;
    }
    let machine = Machine::new(NOBODY);
    machine.good("init");

    assert_eq!(machine.calls(), [INIT_CHECKED, INIT]);
    let token = read(secrets().join("bootstrap-token"));
    let key = read(secrets().join("certificate-key"));
    let expected = format!(
        "{{\"token\":\"{}\",\"key\":\"{}\"}}\n",
        token.trim_end(),
        key.trim_end()
    );
    assert_eq!(read(machine.at("config")), expected);
    assert_eq!(mode(&machine.at("run/init.yaml")), 0o600);
    assert_eq!(read(machine.at("begun-meanwhile")), "init\n");
    assert!(!machine.at("state/begun").exists());
    for (place, secret, wanted) in [
        ("ca.crt", "kubernetes-ca.crt", 0o644),
        ("ca.key", "kubernetes-ca.key", 0o600),
        ("etcd/ca.key", "etcd-ca.key", 0o600),
    ] {
        let place = machine.at("etc/kubernetes/pki").join(place);
        assert_eq!(read(&place), read(secrets().join(secret)));
        assert_eq!(mode(&place), wanted, "{}", place.display());
    }
}

#[test]
fn first_control_plane_joins_the_cluster_that_is_there() {
    if !tools() {
        return;
    }
    let apiserver = Apiserver::of("kubernetes-ca");
    let machine = Machine::new(&apiserver.url());
    let said = machine.good("init");
    assert!(said.contains("exists already"), "{said}");
    assert_eq!(machine.calls(), [JOIN_CHECKED, JOIN]);
    assert!(!machine.at("etc/kubernetes/pki").exists());
}

#[test]
fn first_control_plane_finds_the_cluster_behind_a_lost_virtual_address() {
    if !tools() {
        return;
    }
    let apiserver = Apiserver::of("kubernetes-ca");
    let mut machine = Machine::new(NOBODY);
    machine.others = format!("{NOBODY} {}", apiserver.url());
    // It waits for the virtual address then, rather than make another cluster.
    let said = machine.refused("init");
    assert!(said.contains("waited 0 s for the cluster"), "{said}");
    assert!(machine.calls().is_empty());
}

#[test]
fn somebody_elses_apiserver_is_not_the_cluster() {
    if !tools() {
        return;
    }
    let apiserver = Apiserver::of("front-proxy-ca");
    let machine = Machine::new(&apiserver.url());
    machine.good("init");
    assert_eq!(machine.calls(), [INIT_CHECKED, INIT]);
    let machine = Machine::new(&apiserver.url());
    let said = machine.refused("join");
    assert!(
        said.contains("nobody answers there with a certificate of the cluster's CA"),
        "{said}"
    );
}

#[test]
fn failed_init_is_gone_on_with() {
    if !tools() {
        return;
    }
    let machine = Machine::new(NOBODY);
    machine.write("kubeadm-fails-at", INIT);
    assert!(!machine.run("init").status.success());
    assert_eq!(read(machine.at("state/begun")), "init\n");

    // It got as far as an apiserver, which answers meanwhile; what it left is no ground to refuse.
    fs::remove_file(machine.at("kubeadm-fails-at")).unwrap();
    fs::remove_file(machine.at("calls")).unwrap();
    machine.write("etc/kubernetes/manifests/kube-apiserver.yaml", "");
    let said = machine.good("init");

    assert!(said.contains("going on with it"), "{said}");
    assert_eq!(machine.calls(), [INIT]);
    assert!(!machine.at("state/begun").exists());
}

#[test]
fn machine_that_is_not_fit_is_checked_again_and_never_reset() {
    if !tools() {
        return;
    }
    let apiserver = Apiserver::of("kubernetes-ca");
    let nobody = NOBODY.to_string();
    for (how, endpoint, checked) in [
        ("init", &nobody, INIT_CHECKED),
        ("join", &apiserver.url(), JOIN_CHECKED),
    ] {
        let machine = Machine::new(endpoint);
        machine.write("kubeadm-fails-at", checked);
        for _ in 0..2 {
            assert!(!machine.run(how).status.success());
        }
        assert_eq!(machine.calls(), [checked, checked]);
        assert!(!machine.at("state/begun").exists());
    }
}

#[test]
fn machine_that_was_reset_in_the_middle_of_init_looks_for_the_cluster_again() {
    if !tools() {
        return;
    }
    let apiserver = Apiserver::of("kubernetes-ca");
    let machine = Machine::new(&apiserver.url());
    machine.write("state/begun", "init\n");
    machine.good("init");
    assert_eq!(machine.calls(), ["reset --force", JOIN_CHECKED, JOIN]);
}

#[test]
fn interrupted_join_is_taken_back_and_done_again() {
    if !tools() {
        return;
    }
    let apiserver = Apiserver::of("kubernetes-ca");
    for how in ["join", "init"] {
        let machine = Machine::new(&apiserver.url());
        machine.write("state/begun", "join\n");
        machine.good(how);
        assert_eq!(machine.calls(), ["reset --force", JOIN_CHECKED, JOIN], "{how}");
        assert!(!machine.at("state/begun").exists());
    }
}

#[test]
fn interrupted_join_never_becomes_another_cluster() {
    if !tools() {
        return;
    }
    let machine = Machine::new(NOBODY);
    machine.write("state/begun", "join\n");
    machine.refused("init");
    assert!(machine.calls().is_empty());
}

#[test]
fn discovery_is_by_the_given_authority() {
    if !tools() {
        return;
    }
    let apiserver = Apiserver::of("kubernetes-ca");
    let machine = Machine::new(&apiserver.url());
    machine.good("join");
    let documents = YamlLoader::load_from_str(&read(machine.at("run/discovery.conf"))).unwrap();
    let entry = &documents[0]["clusters"][0];
    assert_eq!(entry["name"], Yaml::String(String::new()));
    assert_eq!(entry["cluster"]["server"].as_str().unwrap(), apiserver.url());
    let data = entry["cluster"]["certificate-authority-data"].as_str().unwrap();
    let decoded = Command::new("base64")
        .arg("--decode")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let mut decoded = decoded.unwrap();
    decoded.stdin.take().unwrap().write_all(data.as_bytes()).unwrap();
    let decoded = decoded.wait_with_output().unwrap();
    assert_eq!(text(&decoded.stdout), read(secrets().join("kubernetes-ca.crt")));
    assert_eq!(mode(&machine.at("run/discovery.conf")), 0o600);
}

#[test]
fn kubectl_reaches_the_cluster_by_the_discovery_file() {
    if !tools() || !installed(&["kubectl"]) {
        return;
    }
    let apiserver = Apiserver::of("kubernetes-ca");
    let machine = Machine::new(&apiserver.url());
    machine.good("join");
    let output = Command::new("kubectl")
        .arg("--kubeconfig")
        .arg(machine.at("run/discovery.conf"))
        // A stranger would be asked for a name.
        .args(["--token", "unused", "get", "--raw", "/"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("s_server"));
}

#[test]
fn secret_of_another_form_reaches_nobody() {
    if !tools() {
        return;
    }
    for (secret, content, wanted) in [
        (
            "bootstrap-token",
            "abcdef.0123456789abcdef\",\"x\":\"",
            "six small letters or digits",
        ),
        ("bootstrap-token", "", "six small letters or digits"),
        ("certificate-key", "0123", "64 hexadecimal digits"),
    ] {
        let machine = Machine::new(NOBODY);
        machine.write(&format!("credentials/{secret}"), content);
        let said = machine.refused("init");
        assert!(
            said.starts_with(&format!("<3>the secret {secret} is not ")),
            "{said}"
        );
        assert!(said.contains(wanted), "{said}");
        assert!(machine.calls().is_empty());
    }
    let machine = Machine::new(NOBODY);
    fs::remove_file(machine.at("credentials/bootstrap-token")).unwrap();
    assert!(
        machine
            .refused("init")
            .contains("the secret bootstrap-token is missing")
    );
}

#[test]
fn invitation_uploads_certificates_and_renews_the_token() {
    if !tools() {
        return;
    }
    let machine = Machine::new(NOBODY);
    let said = machine.refused("invite");
    assert!(said.contains("no control plane yet"), "{said}");
    machine.write("etc/kubernetes/admin.conf", "");
    machine.good("invite");
    assert_eq!(
        machine.calls(),
        [
            "init phase upload-certs --upload-certs --skip-certificate-key-print --config /run/init.yaml",
            "init phase bootstrap-token --skip-token-print --config /run/init.yaml",
        ]
    );
    assert!(!machine.at("state/begun").exists());
}

#[test]
fn network_plugin_waits_for_the_cluster_and_is_applied_by_the_server() {
    let machine = Machine::new(NOBODY);
    machine.program("kubectl", "echo \"$*\" >>\"$MACHINE/calls\"");
    let run = || {
        let path = format!(
            "{}:{}",
            machine.at("bin").display(),
            std::env::var("PATH").unwrap()
        );
        let mut command = Command::new("bash");
        command
            .arg(script("kubernetes/network-plugin.sh"))
            .arg("plugin.yaml");
        command.env("PATH", path).env("MACHINE", machine.folder.path());
        command
            .env("KUBERNETES_DIRECTORY", machine.at("etc/kubernetes"))
            .output()
            .unwrap()
    };
    let output = run();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("the cluster is not made yet"));
    machine.write("etc/kubernetes/admin.conf", "");
    assert!(run().status.success());
    let wanted = "--kubeconfig /etc/kubernetes/admin.conf apply --server-side --force-conflicts --filename plugin.yaml";
    assert_eq!(machine.calls(), [wanted]);
}
