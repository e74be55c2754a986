//! Manifests, as the tools read them that they are for.
//!
//! Each `tests/manifests/NAME.toml` has its manifests below `NAME/KIND/`, or in
//! `NAME/KIND/refused.txt` the words in which it is refused. `BLESS=1` writes
//! them anew: read what it wrote.

#[path = "support/installed.rs"]
mod installed;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use catamaran::pure::config::{Config, Format, check};
use catamaran::pure::manifest::{File, IMAGE, Kind, Wishes, manifest};
use installed::{skipped, unpacked};
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;
use yaml_rust2::{Yaml, YamlLoader};

const KINDS: [(&str, Kind); 4] = [
    ("compose", Kind::Compose),
    ("quadlet", Kind::Quadlet),
    ("static-pod", Kind::StaticPod),
    ("systemd", Kind::Systemd),
];

/// Of this machine, for those who look whether it is there.
const BINARY: &str = env!("CARGO_BIN_EXE_catamaran");

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/manifests")
}

/// The documents by their names.
fn documents() -> BTreeMap<String, Config> {
    let mut documents = BTreeMap::new();
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let name = path.file_stem().unwrap().to_str().unwrap().to_string();
            documents.insert(name, config(&fs::read_to_string(&path).unwrap()));
        }
    }
    assert!(documents.len() > 3, "no documents");
    documents
}

fn config(text: &str) -> Config {
    check(text, Format::Toml, &["apiserver-healthz"]).unwrap().config
}

const WISHES: Wishes<'static> = Wishes {
    image: IMAGE,
    node: None,
};

/// The files of a kind, of each document that can have them.
fn made(kind: Kind) -> Vec<(String, Vec<File>)> {
    let made: Vec<_> = documents()
        .iter()
        .filter_map(|(name, config)| Some((name.clone(), manifest(kind, config, WISHES).ok()?)))
        .collect();
    assert!(made.len() > 3, "{kind:?}: {made:?}");
    made
}

fn founding() -> Config {
    documents().remove("founding").unwrap()
}

#[test]
fn every_document_has_the_expected_manifests() {
    // The version changes without the texts.
    let version = env!("CARGO_PKG_VERSION");
    let mut wrong = Vec::new();
    let mut expected = BTreeSet::new();
    for (name, config) in documents() {
        for (word, kind) in KINDS {
            let files = match manifest(kind, &config, WISHES) {
                Ok(files) => files.into_iter().map(|file| (file.name, file.text)).collect(),
                Err(why) => vec![("refused.txt", why + "\n")],
            };
            for (file, text) in files {
                let path = folder().join(&name).join(word).join(file);
                wrong.extend(compare(&path, &text.replace(version, "VERSION")));
                expected.insert(path);
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(files_below(&folder()), expected, "files that nothing makes");
}

/// What differs, unless it is written anew.
fn compare(expected: &Path, found: &str) -> Option<String> {
    if std::env::var_os("BLESS").is_some() {
        fs::create_dir_all(expected.parent().unwrap()).unwrap();
        fs::write(expected, found).unwrap();
        return None;
    }
    let text = fs::read_to_string(expected).unwrap_or_else(|_| "(none: BLESS=1 writes it)".into());
    let shown = expected.display();
    (text != found).then(|| format!("{shown}:\n--- expected\n{text}\n--- found\n{found}"))
}

/// All but the documents.
fn files_below(folder: &Path) -> BTreeSet<PathBuf> {
    let mut files = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else if path.extension().is_none_or(|extension| extension != "toml") {
            files.insert(path);
        }
    }
    files
}

#[test]
fn node_that_the_document_lacks_is_refused_by_name() {
    let node = |name| Wishes {
        node: Some(name),
        ..WISHES
    };
    for (_, kind) in KINDS {
        let why = manifest(kind, &founding(), node("lb-c")).unwrap_err();
        assert_eq!(why, "no node is called \"lb-c\"; the document has: lb-a, lb-b");
        let files = manifest(kind, &founding(), node("lb-b")).unwrap();
        assert!(files[0].text.contains("CATAMARAN_NODE"), "{}", files[0].text);
    }
}

#[test]
fn image_that_would_break_the_syntax_is_refused() {
    for image in ["", "a b", "a\nExec=sh", "a\"", "a%h"] {
        let wishes = Wishes { image, ..WISHES };
        let why = manifest(Kind::Quadlet, &founding(), wishes).unwrap_err();
        assert!(why.contains("is not an image"), "{image:?}: {why}");
    }
}

/// The files in a folder that vanishes.
fn laid_out(files: &[File]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in files {
        let text = file.text.replace("/usr/local/bin/catamaran", BINARY);
        fs::write(folder.path().join(file.name), text).unwrap();
    }
    folder
}

/// What a tool says of a file, and whether it is content.
fn judged(command: &mut Command) -> Option<(bool, String)> {
    let output = command.stdin(Stdio::null()).output().ok()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Some((
        output.status.success(),
        text(&output.stdout) + &text(&output.stderr),
    ))
}

#[test]
fn systemd_understands_the_unit_and_finds_it_hardened() {
    for (name, files) in made(Kind::Systemd) {
        let folder = laid_out(&files);
        let unit = folder.path().join("catamaran.service");
        let analyze = |arguments: &[&str]| {
            let mut command = Command::new("systemd-analyze");
            judged(command.args(arguments).arg(&unit))
        };
        let Some((good, said)) = analyze(&["verify", "--man=no", "--recursive-errors=no"]) else {
            assert!(
                std::env::var_os("CI").is_none(),
                "in CI systemd has to be installed"
            );
            skipped("systemd-analyze is not there (package systemd)");
            return;
        };
        assert!(good && said.is_empty(), "{name}: {said}");
        let (good, said) = analyze(&["security", "--offline=yes", "--threshold=20"]).unwrap();
        assert!(good, "{name}: {said}");
    }
}

/// podman's generator, of 4.8 or later.
fn quadlet() -> Option<PathBuf> {
    let told = std::env::var_os("QUADLET").map(PathBuf::from);
    let usual = ["/usr/libexec/podman/quadlet", "/usr/lib/podman/quadlet"].map(PathBuf::from);
    let here = told.into_iter().chain(usual).find(|path| path.exists());
    here.or_else(|| unpacked("trixie", &["podman", "libc6"], "usr/libexec/podman/quadlet"))
}

#[test]
fn podman_makes_services_of_the_units() {
    let Some(quadlet) = quadlet() else {
        skipped("podman's quadlet is not there (podman 4.8 or later, or name it in QUADLET)");
        return;
    };
    for (name, files) in made(Kind::Quadlet) {
        let folder = laid_out(&files);
        let mut command = Command::new(&quadlet);
        command.arg("-dryrun").env("QUADLET_UNIT_DIRS", folder.path());
        let (good, said) = judged(&mut command).unwrap();
        assert!(good, "{name}: {said}");
        let run = said
            .lines()
            .find(|line| line.starts_with("ExecStart=") && line.contains(" run "));
        let run = run.unwrap_or_else(|| panic!("{name}: no ExecStart: {said}"));
        // As podman sees it, whether the generator writes `--key value` or `--key=value`.
        let words = |text: &str| text.replace(['"', '\\'], "").replace('=', " ");
        for wanted in [
            "--read-only ",
            "--read-only-tmpfs=false",
            "--cap-drop all",
            "--security-opt=no-new-privileges",
            "--health-cmd [/catamaran,status,--ready]",
            "--stop-timeout=",
            "-v /etc/catamaran/cluster.toml:/etc/catamaran/cluster.toml:ro",
        ] {
            assert!(words(run).contains(&words(wanted)), "{name}: {wanted}: {run}");
        }
        let added = run.matches("--cap-add").count();
        assert_eq!(added, capabilities(&name).len(), "{name}: {run}");
    }
}

fn parsed(text: &str) -> Value {
    let documents = YamlLoader::load_from_str(text).unwrap_or_else(|error| panic!("{error}:\n{text}"));
    assert_eq!(documents.len(), 1, "{text}");
    as_json(&documents[0])
}

fn as_json(yaml: &Yaml) -> Value {
    match yaml {
        Yaml::String(text) => json!(text),
        Yaml::Integer(number) => json!(number),
        Yaml::Boolean(truth) => json!(truth),
        Yaml::Array(values) => values.iter().map(as_json).collect(),
        Yaml::Hash(entries) => {
            let entry = |(key, value): (&Yaml, _)| (key.as_str().unwrap().to_string(), as_json(value));
            Value::Object(entries.iter().map(entry).collect())
        }
        other => panic!("{other:?} has no place in a manifest"),
    }
}

/// The types of Kubernetes' API, as far as the manifest has them: core/v1 Pod.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Pod {
    api_version: String,
    kind: String,
    metadata: Metadata,
    spec: PodSpec,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Metadata {
    name: String,
    namespace: String,
    labels: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PodSpec {
    host_network: bool,
    priority_class_name: String,
    restart_policy: String,
    #[serde(rename = "enableServiceLinks")]
    _enable_service_links: bool,
    termination_grace_period_seconds: i64,
    security_context: PodSecurity,
    containers: Vec<Container>,
    volumes: Vec<Volume>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct PodSecurity {
    seccomp_profile: Seccomp,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Seccomp {
    r#type: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Container {
    name: String,
    image: String,
    image_pull_policy: String,
    command: Vec<String>,
    args: Vec<String>,
    env: Vec<Variable>,
    security_context: Security,
    liveness_probe: Probe,
    readiness_probe: Probe,
    resources: Resources,
    volume_mounts: Vec<VolumeMount>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Variable {
    name: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Security {
    run_as_user: u32,
    run_as_group: u32,
    allow_privilege_escalation: bool,
    read_only_root_filesystem: bool,
    capabilities: Capabilities,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Capabilities {
    drop: Vec<String>,
    #[serde(default)]
    add: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Probe {
    exec: Exec,
    #[serde(default)]
    initial_delay_seconds: u32,
    period_seconds: u32,
    timeout_seconds: u32,
    failure_threshold: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Exec {
    command: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Resources {
    requests: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct VolumeMount {
    name: String,
    mount_path: String,
    read_only: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Volume {
    name: String,
    host_path: HostPath,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HostPath {
    path: String,
    r#type: String,
}

/// Names of Kubernetes' objects, RFC 1123: label.
fn is_label(name: &str) -> bool {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=63).contains(&name.len()) && name.chars().all(good) && !name.starts_with('-') && !name.ends_with('-')
}

#[test]
fn kubelet_would_take_the_pod() {
    for (name, files) in made(Kind::StaticPod) {
        let value = parsed(&files[0].text);
        let pod: Pod = serde_json::from_value(value).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((pod.api_version.as_str(), pod.kind.as_str()), ("v1", "Pod"));
        assert!(is_label(&pod.metadata.name));
        assert_eq!(pod.metadata.namespace, "kube-system");
        assert!(!pod.metadata.labels.is_empty());
        // Host network and priority are what lets it have the node's address, and
        // keep it when the node is full.
        assert!(pod.spec.host_network);
        assert_eq!(pod.spec.priority_class_name, "system-node-critical");
        assert_eq!(pod.spec.restart_policy, "Always");
        assert!(pod.spec.termination_grace_period_seconds > 30);
        assert_eq!(pod.spec.security_context.seccomp_profile.r#type, "RuntimeDefault");
        let [container] = &pod.spec.containers[..] else {
            panic!("{name}: one container")
        };
        holds_together(&name, container, &pod.spec.volumes);
        has_few_rights(&name, &container.security_context);
    }
}

fn holds_together(name: &str, container: &Container, volumes: &[Volume]) {
    assert!(is_label(&container.name), "{name}");
    assert_eq!(container.image, IMAGE);
    assert!(["Always", "IfNotPresent", "Never"].contains(&container.image_pull_policy.as_str()));
    assert_eq!(
        (&container.command[..], &container.args[..]),
        (&["/catamaran".to_string()][..], &["run".to_string()][..])
    );
    let admin = container
        .env
        .iter()
        .find(|variable| variable.name == "CATAMARAN_ADMIN");
    assert_eq!(admin.unwrap().value, "@catamaran");
    assert_eq!(
        container.readiness_probe.exec.command,
        ["/catamaran", "status", "--ready"]
    );
    // A link that is down is not mended by starting again.
    assert_eq!(container.liveness_probe.exec.command, ["/catamaran", "status"]);
    for probe in [&container.liveness_probe, &container.readiness_probe] {
        assert!(probe.period_seconds > 0 && probe.timeout_seconds > 0 && probe.failure_threshold > 0);
        assert!(probe.initial_delay_seconds < 60);
    }
    let requested: Vec<_> = container.resources.requests.keys().collect();
    assert_eq!(requested, ["cpu", "memory"]);

    let mounted: Vec<_> = container.volume_mounts.iter().map(|mount| &mount.name).collect();
    let there: Vec<_> = volumes.iter().map(|volume| &volume.name).collect();
    assert_eq!(mounted, there, "{name}");
    assert_eq!(there.iter().collect::<BTreeSet<_>>().len(), there.len(), "{name}");
    for (mount, volume) in container.volume_mounts.iter().zip(volumes) {
        assert!(is_label(&volume.name), "{name}: {}", volume.name);
        assert_eq!(mount.mount_path, volume.host_path.path);
        assert!(mount.mount_path.starts_with('/') && !mount.mount_path.contains(':'));
        let kind = volume.host_path.r#type.as_str();
        assert!(["File", "DirectoryOrCreate"].contains(&kind), "{kind}");
        assert_eq!(mount.read_only, mount.mount_path != "/var/cache/catamaran");
    }
}

fn has_few_rights(name: &str, security: &Security) {
    assert_eq!((security.run_as_user, security.run_as_group), (0, 0));
    assert!(!security.allow_privilege_escalation && security.read_only_root_filesystem);
    assert_eq!(security.capabilities.drop, ["ALL"]);
    assert_eq!(security.capabilities.add, capabilities(name), "{name}");
}

/// What each document needs.
fn capabilities(document: &str) -> &'static [&'static str] {
    match document {
        "plain-balancer" => &[],
        "many-files" => &["NET_ADMIN", "NET_RAW", "SYS_NICE", "NET_BIND_SERVICE"],
        _ => &["NET_ADMIN", "NET_RAW", "SYS_NICE"],
    }
}

#[test]
fn compose_file_is_one_service_on_the_hosts_network() {
    for (name, files) in made(Kind::Compose) {
        let value = parsed(&files[0].text);
        let service = &value["services"]["catamaran"];
        for (key, expected) in [
            ("image", json!(IMAGE)),
            ("command", json!(["run"])),
            ("network_mode", json!("host")),
            ("read_only", json!(true)),
            ("cap_drop", json!(["ALL"])),
            ("security_opt", json!(["no-new-privileges:true"])),
        ] {
            assert_eq!(service[key], expected, "{name}: {key}");
        }
        let added = match capabilities(&name) {
            [] => Value::Null,
            names => json!(names),
        };
        assert_eq!(service["cap_add"], added, "{name}");
        let health = json!(["CMD", "/catamaran", "status", "--ready"]);
        assert_eq!(service["healthcheck"]["test"], health);
        let volumes = service["volumes"].as_array().unwrap();
        assert_eq!(volumes[0], "./cluster.toml:/etc/catamaran/cluster.toml:ro");
        assert!(volumes.iter().all(Value::is_string), "{name}: {volumes:?}");
        assert_eq!(value.as_object().unwrap().len(), 1, "{name}: services alone");
    }
}

#[test]
fn command_prints_the_files_or_writes_them() {
    let document = folder().join("founding.toml");
    let run = |arguments: &[&str]| {
        let mut command = Command::new(BINARY);
        command
            .args(["image", "manifest"])
            .args(arguments)
            .arg("--config")
            .arg(&document);
        judged(&mut command).unwrap()
    };
    let (good, said) = run(&["systemd"]);
    let [unit] = &manifest(Kind::Systemd, &founding(), WISHES).unwrap()[..] else {
        panic!("one unit")
    };
    assert_eq!((good, &said), (true, &unit.text));
    let (good, said) = run(&["quadlet"]);
    assert!(good && said.contains("#### catamaran.image\n"), "{said}");

    let output = tempfile::tempdir().unwrap();
    let new = output.path().join("new");
    let image = "registry.example/lb:1";
    let (good, said) = run(&["quadlet", "--image", image, "--output", new.to_str().unwrap()]);
    assert!(good, "{said}");
    let written = fs::read_to_string(new.join("catamaran.image")).unwrap();
    assert!(written.contains("\nImage=registry.example/lb:1\n"), "{written}");
    assert!(new.join("catamaran.container").exists(), "{said}");

    let (good, said) = run(&["compose", "--node", "lb-c"]);
    assert!(!good && said.contains("lb-a, lb-b"), "{said}");
}
