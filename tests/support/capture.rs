//! What passes over the Ethernet, read by Wireshark's dissectors.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use catamaran::commands::lab::enclosure::FOLDER;
use catamaran::commands::lab::world::BRIDGE;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::enclosed::found;

/// Everything on the switch from now on.
pub struct Capture {
    file: PathBuf,
    dumpcap: Child,
}

impl Capture {
    /// Begin, in the world's own namespace.
    pub async fn start() -> Self {
        let [file, log] = ["capture.pcapng", "dumpcap.log"].map(|name| PathBuf::from(FOLDER).join(name));
        let dumpcap = Command::new("dumpcap")
            .args(["-i", BRIDGE, "-w"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        // It names the file once it listens.
        found("a capture", async || {
            fs::read_to_string(&log).unwrap().contains("File: ").then_some(())
        })
        .await;
        Self { file, dumpcap }
    }

    /// End it once it has a frame that passes `filter`.
    pub async fn end_after(mut self, filter: &str) -> Frames {
        let frames = Frames(self.file);
        found("a frame", async || {
            // While it is being written its last frame may be incomplete.
            let read = frames.tshark(filter, &["frame.number"]).output().unwrap();
            assert!(
                read.status.code().is_some(),
                "{}",
                String::from_utf8_lossy(&read.stderr)
            );
            (!read.stdout.is_empty()).then_some(())
        })
        .await;
        let dumpcap = Pid::from_raw(self.dumpcap.id().cast_signed());
        kill(dumpcap, Signal::SIGINT).unwrap();
        assert!(self.dumpcap.wait().unwrap().success());
        frames
    }
}

/// Fields of a frame with their values; what it has more than once is parted by
/// commas, what it has not is empty.
pub type Dissected = Vec<(&'static str, String)>;

/// What has passed.
pub struct Frames(PathBuf);

impl Frames {
    /// The frames that pass `filter`, in order, by the fields that `like` has.
    pub fn like(&self, filter: &str, like: &Dissected) -> Vec<Dissected> {
        let fields: Vec<_> = like.iter().map(|(field, _)| *field).collect();
        let read = self.tshark(filter, &fields).output().unwrap();
        assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
        let lines = String::from_utf8(read.stdout).unwrap();
        let frame = |line: &str| {
            let values = line.split('\t').map(str::to_string);
            fields.iter().copied().zip(values).collect()
        };
        lines.lines().map(frame).collect()
    }

    fn tshark(&self, filter: &str, fields: &[&str]) -> Command {
        let mut tshark = Command::new("tshark");
        // Nobody's preferences.
        tshark.env("HOME", FOLDER).env("XDG_CONFIG_HOME", FOLDER);
        tshark.args(["-n", "-o", "ip.check_checksum:TRUE", "-Y", filter]);
        tshark.args(["-T", "fields", "-E", "occurrence=a", "-E", "aggregator=,"]);
        for field in fields {
            tshark.args(["-e", field]);
        }
        tshark.arg("-r").arg(&self.0);
        tshark
    }
}
