//! The program as it ships.

use std::fs;
use std::process::Command;

const PROGRAM: &str = env!("CARGO_BIN_EXE_catamaran");

/// `ldd` is not everywhere; the file itself says whether it wants a loader.
#[test]
fn binary_needs_no_loader() {
    let file = fs::read(PROGRAM).unwrap();
    assert_eq!(&file[..5], b"\x7fELF\x02", "a 64 bit ELF file");
    let number = |at: usize, bytes: usize| {
        file[at..at + bytes]
            .iter()
            .rev()
            .fold(0_usize, |number, &byte| number << 8 | usize::from(byte))
    };
    // ELF64: program headers at e_phoff, e_phentsize each, e_phnum of them.
    let (offset, size, count) = (number(32, 8), number(54, 2), number(56, 2));
    let kinds: Vec<usize> = (0..count).map(|index| number(offset + index * size, 4)).collect();
    const PT_INTERP: usize = 3;
    assert!(!kinds.contains(&PT_INTERP), "the binary names a dynamic loader");
}

#[test]
fn version_is_told() {
    let output = Command::new(PROGRAM).arg("--version").output().unwrap();
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        format!("catamaran {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn wrong_usage_is_exit_code_two() {
    for arguments in [&["dance"][..], &["run", "--sideways"], &["probe"], &["check"]] {
        let output = Command::new(PROGRAM).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(!output.stderr.is_empty(), "{arguments:?}");
    }
}
