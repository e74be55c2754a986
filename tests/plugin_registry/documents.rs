//! Plugins that documents pin in registries: fetched, kept, and never another
//! one than the pinned.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use catamaran::commands::lab::certificates::Authority;
use serde_json::json;

use super::caller::{Told, catamaran, told};
use super::docker_registry::{DockerRegistry, HTPASSWD, RIGHT, in_folder};
use super::enclosed::{enclosed, settle};
use super::fake_registry::{FakeRegistry, Reply};
use super::installed::installed;
use super::{COMPONENT, MANIFEST, call, descriptor, manifest, sha256, tcp};

/// A document whose only check has this plugin, its only endpoint a listener.
struct Site {
    folder: PathBuf,
    listener: TcpListener,
}

impl Site {
    fn new(folder: &Path) -> Self {
        Self {
            folder: folder.into(),
            listener: TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap(),
        }
    }

    /// `rest` begins in the check's table. The line of the plugin is the eighth.
    fn write(&self, plugin: &str, rest: &str) {
        let endpoint = self.listener.local_addr().unwrap();
        let text = format!(
            "[listeners.web]\nbind = ['127.0.0.1:0']\npool = 'web'\n\
             [pools.web]\ncheck = 'own'\nendpoints = {{ one = '{endpoint}' }}\n\
             [checks.own]\nplugin = '{plugin}'\n{rest}"
        );
        fs::write(self.folder.join("site.toml"), text.replace(":0'", ":7'")).unwrap();
    }

    fn call(&self, arguments: &[&str]) -> Told {
        let mut command = catamaran(&self.folder);
        command.args(arguments).current_dir(&self.folder);
        told(command.output().unwrap())
    }

    fn check(&self) -> Told {
        self.call(&["check", "site.toml"])
    }

    fn probe(&self) -> Told {
        self.call(&["probe", "--document", "site.toml"])
    }

    /// What a daemon says that cannot start.
    fn run(&self) -> Told {
        self.call(&["run", "--config", "site.toml"])
    }

    /// Where the tcp plugin is kept, as an image layout has blobs.
    fn kept(&self) -> PathBuf {
        let blobs = self.folder.join("kept/blobs/sha256");
        blobs.join(sha256(tcp()).digest())
    }

    /// Keep plugins below `kept`.
    fn keeping(&self) -> String {
        format!(
            "[daemon]\nplugin-cache = '{}'\n",
            self.folder.join("kept").display()
        )
    }
}

fn plain(address: &str) -> String {
    format!("[registries.'{address}']\nplain-http = true\n")
}

/// Push the tcp plugin; how a document pins it.
fn pushed(registry: &str, access: &[&str]) -> String {
    fs::write(in_folder("tcp.wasm"), tcp()).unwrap();
    let name = format!("{registry}/checks/tcp:1.0");
    let (code, out, err) = call(&in_folder(""), &[&["push", "tcp.wasm", &name], access].concat());
    assert_eq!(code, Some(0), "{err}");
    format!("oci:{}", out.trim_end())
}

/// A registry without TLS that has it, and how a document pins it.
fn registry() -> (DockerRegistry, String) {
    let registry = DockerRegistry::start("registry", "", "");
    let pinned = pushed(&registry.address, &["--plain-http"]);
    (registry, pinned)
}

#[test]
fn plugin_is_fetched_once_and_kept_for_when_its_registry_is_away() {
    if !installed(&["docker-registry"]) {
        return;
    }
    enclosed(async |mut world| {
        settle(&mut world);
        let (registry, pinned) = registry();
        let site = Site::new(&in_folder(""));
        let rest = plain(&registry.address) + &site.keeping();
        site.write(&pinned, &rest);

        let (code, _, err) = site.check();
        assert_eq!(code, Some(0), "{err}");
        assert!(
            err.contains("site.toml:8:10: warning: checks.own.plugin: the plugin has not been fetched yet"),
            "{err}"
        );
        let fetched = format!("catamaran: fetched plugin {} of check own: ", &pinned[4..]);
        let (code, out, err) = site.probe();
        assert_eq!(code, Some(0), "{out}{err}");
        assert!(err.starts_with(&fetched) && err.lines().count() == 1, "{err}");
        assert_eq!(site.check().2, "");

        // Its settings are known now, and wrong ones told before anything runs.
        site.write(&pinned, &format!("config = {{ sned = 'x' }}\n{rest}"));
        for (code, _, err) in [site.check(), site.run()] {
            assert_eq!(code, Some(2));
            assert!(
                err.contains("site.toml:9:12: checks.own.config.sned: the plugin knows no key \"sned\""),
                "{err}"
            );
        }

        site.write(&pinned, &rest);
        drop(registry);
        let (code, out, err) = site.probe();
        assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");

        // Damaged, it is none.
        let kept = site.kept();
        let mut other = fs::read(&kept).unwrap();
        other[100] ^= 1;
        fs::write(&kept, other).unwrap();
        let (code, _, err) = site.run();
        assert_eq!(code, Some(1));
        let damaged = format!(
            "catamaran: a kept plugin cannot be used: {}: it is damaged, its digest is another one\n",
            kept.display()
        );
        let away = format!("catamaran: check own: cannot fetch its plugin {}: ", &pinned[4..]);
        assert!(err.contains(&damaged) && err.contains(&away), "{err}");
        assert_eq!(err.lines().count(), 2, "{err}");
    });
}

#[test]
fn damaged_copy_is_replaced_and_without_a_place_nothing_is_kept() {
    if !installed(&["docker-registry"]) {
        return;
    }
    enclosed(async |mut world| {
        settle(&mut world);
        let (registry, pinned) = registry();
        let site = Site::new(&in_folder(""));
        let rest = plain(&registry.address) + &site.keeping();
        site.write(&pinned, &rest);
        assert_eq!(site.probe().0, Some(0));
        let kept = site.kept();
        fs::write(&kept, "half").unwrap();
        let (code, _, err) = site.probe();
        assert_eq!(code, Some(0));
        assert!(
            err.contains("it is damaged") && err.contains("fetched plugin"),
            "{err}"
        );
        assert_eq!(fs::read(&kept).unwrap(), tcp());

        // On the command line a registry is one of the world's, with TLS.
        let endpoint = site.listener.local_addr().unwrap().to_string();
        let (code, _, err) = site.call(&["probe", "--plugin", &pinned, "--endpoint", &endpoint]);
        assert_eq!(code, Some(2));
        assert!(err.starts_with("catamaran: cannot fetch its plugin "), "{err}");

        site.write(&pinned, &plain(&registry.address));
        let (code, _, err) = site.check();
        assert_eq!(code, Some(0));
        assert!(
            err.contains("fetched at every start, and without its registry there is no start"),
            "{err}"
        );
        assert_eq!(site.probe().0, Some(0));
        drop(registry);
        let (code, _, err) = site.run();
        assert_eq!(code, Some(1));
        assert!(
            err.ends_with("(os error 111)\n") && err.contains("cannot fetch"),
            "{err}"
        );
    });
}

#[test]
fn private_registry_is_reached_with_the_documents_authority_and_login() {
    if !installed(&["docker-registry"]) {
        return;
    }
    enclosed(async |mut world| {
        settle(&mut world);
        let authority = Authority::new().unwrap();
        let identity = authority
            .apiserver("registry", &["127.0.0.1".parse().unwrap()])
            .unwrap();
        let file = |name: &str, text: &str| {
            fs::write(in_folder(name), text).unwrap();
            in_folder(name).display().to_string()
        };
        let ca = file("ca.pem", &authority.pem());
        let certificate = file("cert.pem", &identity.certificate);
        let key = file("key.pem", &identity.key);
        let passwords = file("htpasswd", HTPASSWD);
        let registry = DockerRegistry::start(
            "registry",
            &format!("  tls: {{certificate: {certificate}, key: {key}}}\n"),
            &format!("auth: {{htpasswd: {{realm: ours, path: {passwords}}}}}\n"),
        );
        let address = &registry.address;
        let login = json!({"auths": {address: {"auth": RIGHT}}}).to_string();
        let login = file("login.json", &login);
        let pinned = pushed(address, &["--ca", &ca, "--authfile", &login]);
        let site = Site::new(&in_folder(""));
        for (settings, lacks) in [
            (String::new(), "name it: --ca, or `ca` of the document's registry"),
            (format!("ca = '{ca}'\n"), "401 Unauthorized"),
        ] {
            site.write(&pinned, &format!("[registries.'{address}']\n{settings}"));
            let (code, _, err) = site.run();
            assert_eq!(code, Some(1));
            assert!(err.contains(lacks), "{err}");
        }
        site.write(
            &pinned,
            &format!("[registries.'{address}']\nca = '{ca}'\nauth-file = '{login}'\n"),
        );
        let (code, out, err) = site.probe();
        assert_eq!(code, Some(0), "{out}{err}");
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_registry_gives_instead_of_the_pinned_plugin_is_refused_and_not_kept() {
    let mut other = tcp().to_vec();
    other[100] ^= 1;
    let served = manifest(&[descriptor(COMPONENT, tcp())]);
    let unserved = manifest(&[descriptor(COMPONENT, &other)]);
    for (pinned, component, why) in [
        (&unserved, tcp(), "not sha256:"),
        (&served, &other[..], "its digest is"),
    ] {
        let (manifest, component) = (served.clone(), component.to_vec());
        let registry = FakeRegistry::start(move |asked, _| match asked.target.contains("/blobs/") {
            true => Reply::new(200).body(component.clone()),
            false => Reply::new(200)
                .header("content-type", MANIFEST)
                .body(manifest.clone()),
        })
        .await;
        let folder = tempfile::tempdir().unwrap();
        let site = Site::new(folder.path());
        let address = registry.address;
        let digest = sha256(pinned.as_bytes());
        site.write(
            &format!("oci:{address}/tcp@{digest}"),
            &(plain(&address.to_string()) + &site.keeping()),
        );
        let (code, _, err) = tokio::task::block_in_place(|| site.run());
        assert_eq!(code, Some(1));
        assert!(err.contains(why), "{err}");
        assert!(!folder.path().join("kept").exists());
    }
}
