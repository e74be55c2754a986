//! Debian's docker-registry in an enclosure, on a port of the kernel's choice.

#![allow(dead_code)] // Each test file uses its own part.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;

use catamaran::commands::lab::enclosure::FOLDER;

use super::installed::program_of_root;

/// `alice` with the password `wonder`, as htpasswd(1) writes it.
pub const HTPASSWD: &str = "alice:$2y$04$IM495qZlpzTDpBtgLkhOLuP5g6kweU2ZhbZdiSEMu5BnkqKZD5EyG\n";
/// The same in base64: `alice:wonder`.
pub const RIGHT: &str = "YWxpY2U6d29uZGVy";

/// A registry on loopback; killed when it is dropped, and with the enclosure.
pub struct DockerRegistry {
    /// Address and port.
    pub address: String,
    process: Child,
}

impl DockerRegistry {
    /// Start one. `http` and `more` are lines of its configuration.
    pub fn start(name: &str, http: &str, more: &str) -> Self {
        let (file, data) = (in_folder(&format!("{name}.yml")), in_folder(name));
        let data = data.display();
        let configuration = format!(
            "version: 0.1\n\
             log: {{level: info, accesslog: {{disabled: true}}}}\n\
             storage: {{filesystem: {{rootdirectory: {data}}}}}\n\
             http:\n  addr: 127.0.0.1:0\n  secret: theirs\n{http}{more}"
        );
        fs::write(&file, configuration).unwrap();
        let mut process = program_of_root("docker-registry")
            .arg("serve")
            .arg(file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap())
            .lines()
            .map_while(Result::ok);
        let said = |line: String| {
            let (_, address) = line.split_once("listening on ")?;
            Some(address.split([',', '"']).next().unwrap().to_string())
        };
        let address = log.find_map(said).expect("it says where it listens");
        // A full pipe would stop it.
        thread::spawn(move || log.for_each(drop));
        Self { address, process }
    }
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A file that goes with the enclosure.
pub fn in_folder(name: &str) -> PathBuf {
    Path::new(FOLDER).join(name)
}
