//! The commands of `catamaran plugin` as whoever types them sees them.

#![allow(dead_code)] // Each test file uses its own part.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;

use catamaran::commands::plugin::workshop::Workshop;

/// `catamaran plugin …` in a folder.
pub fn plugin(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_catamaran"));
    command
        .arg("plugin")
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null());
    command
}

/// What the compiler of a clone's plugins is started with, and a folder of its
/// own that is kept from run to run.
///
/// # Errors
/// When no compiler can be had.
pub fn rust() -> Result<Vec<(String, String)>, String> {
    let clone = Workshop::find(Path::new(env!("CARGO_MANIFEST_DIR")))?;
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("plugin-languages-rust");
    let target = ("CARGO_TARGET_DIR".to_owned(), target.display().to_string());
    Ok(clone
        .toolchain()?
        .environment
        .into_iter()
        .chain([target])
        .collect())
}

/// What a command said, and whether it succeeded.
pub struct Told {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

pub fn told(command: &mut Command) -> Told {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    Told {
        code: status.code(),
        out: String::from_utf8(stdout).unwrap(),
        err: String::from_utf8(stderr).unwrap(),
    }
}

/// What a command said that has to succeed.
pub fn good(command: &mut Command) -> String {
    let told = told(command);
    assert_eq!(told.code, Some(0), "{command:?}\n{}{}", told.out, told.err);
    told.out
}

/// A server on loopback that reads until `question` came, answers and closes,
/// for as long as the process lives.
pub fn server(question: &'static [u8], answer: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let mut asked = Vec::new();
            let mut piece = [0; 1024];
            while !asked.windows(question.len()).any(|window| window == question) {
                match stream.read(&mut piece) {
                    Ok(0) | Err(_) => break,
                    Ok(count) => asked.extend_from_slice(&piece[..count]),
                }
            }
            // Whoever went away is not waited for.
            let _ = stream.write_all(answer);
        }
    });
    address
}

/// One that speaks HTTP.
pub fn web() -> SocketAddr {
    server(b"\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nready")
}
