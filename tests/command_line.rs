//! What shells and readers of manuals get of the command line.

#[path = "support/installed.rs"]
mod installed;

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use installed::skipped;

const BINARY: &str = env!("CARGO_BIN_EXE_catamaran");

fn catamaran(arguments: &[&str]) -> String {
    told(
        Command::new(BINARY)
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap(),
    )
}

fn told(output: Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert_eq!(said, "");
    String::from_utf8(output.stdout).unwrap()
}

/// The subcommands of a command, as its help lists them; `help` is not one.
fn subcommands(of: &[&str]) -> Vec<String> {
    let help = catamaran(&[of, &["--help"]].concat());
    let listed = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty());
    let name = |line: &str| Some(line.strip_prefix("  ")?.split(' ').next()?.to_string());
    listed
        .filter_map(name)
        .filter(|name| !name.is_empty() && name != "help")
        .collect()
}

/// `catamaran` and every subcommand, with theirs, each as its words.
fn every_command() -> Vec<Vec<String>> {
    let mut all = vec![Vec::new()];
    let mut next = 0;
    while let Some(command) = all.get(next).cloned() {
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        for name in subcommands(&words) {
            all.push([command.clone(), vec![name]].concat());
        }
        next += 1;
    }
    assert!(all.len() > 12, "{all:?}");
    all
}

#[test]
fn every_command_has_a_manual_page_and_nothing_else_has() {
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man1");
    let printed = catamaran(&["man", "--output", pages.to_str().unwrap()]);
    let expected: Vec<_> = every_command()
        .iter()
        .map(|words| {
            pages.join(format!(
                "{}.1",
                [&["catamaran".into()], &words[..]].concat().join("-")
            ))
        })
        .collect();
    for page in &expected {
        let text = fs::read_to_string(page).unwrap_or_else(|error| panic!("{}: {error}", page.display()));
        for section in [
            ".TH ",
            ".SH NAME",
            ".SH SYNOPSIS",
            ".SH DESCRIPTION",
            ".SH \"EXIT STATUS\"",
        ] {
            assert_eq!(text.matches(section).count(), 1, "{}: {section}", page.display());
        }
        assert!(printed.lines().any(|line| Path::new(line) == page), "{printed}");
    }
    assert_eq!(fs::read_dir(&pages).unwrap().count(), expected.len());
    assert_eq!(
        fs::read_to_string(&expected[0]).unwrap(),
        catamaran(&["man"]),
        "the page of the whole is the one that is printed"
    );
}

#[test]
fn formatter_finds_nothing_wrong_with_the_pages() {
    let folder = tempfile::tempdir().unwrap();
    catamaran(&["man", "--output", folder.path().to_str().unwrap()]);
    for entry in fs::read_dir(folder.path()).unwrap() {
        let page = entry.unwrap().path();
        let mut groff = Command::new("groff");
        // As man(1) calls it, with everything odd told.
        groff.args(["-man", "-Tutf8", "-ww", "-z"]).arg(&page);
        let Ok(output) = groff.output() else {
            assert!(
                std::env::var_os("CI").is_none(),
                "in CI groff has to be installed"
            );
            skipped("no groff (package groff-base)");
            return;
        };
        assert_eq!(told(output), "", "{}", page.display());
    }
}

/// What bash offers behind these words, the last of which is being typed.
fn offered(words: &[&str]) -> Vec<String> {
    let script = format!(
        "source <(\"$0\" completions bash) || exit 1
         COMP_WORDS=({}) COMP_CWORD={} COMPREPLY=()
         _catamaran catamaran \"${{COMP_WORDS[-1]}}\" \"${{COMP_WORDS[-2]}}\"
         printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        words.join(" "),
        words.len() - 1
    );
    let bash = Command::new("bash")
        .args(["-u", "-c", &script, BINARY])
        .output()
        .unwrap();
    told(bash).lines().map(str::to_string).collect()
}

#[test]
fn bash_completes_commands_and_their_options() {
    assert_eq!(offered(&["catamaran", "sta"]), ["status"]);
    assert_eq!(offered(&["catamaran", "status", "--re"]), ["--ready"]);
    assert_eq!(offered(&["catamaran", "image", "man"]), ["manifest"]);
    let commands = offered(&["catamaran", "\"\""]);
    for name in subcommands(&[]) {
        assert!(commands.contains(&name), "{name}: {commands:?}");
    }
    assert!(
        !commands.iter().any(|name| name.contains("inside")),
        "{commands:?}"
    );
}

#[test]
fn every_shell_gets_completions_that_know_every_command() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let text = catamaran(&["completions", shell]);
        for name in subcommands(&[]) {
            assert!(text.contains(&name), "{shell}: {name}");
        }
    }
}
