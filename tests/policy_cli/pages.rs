//! The pages for policy authors and auditors do what they show: their files are written, their commands run, their
//! outputs compared.
//!
//! In the order of the page and in one temporary directory: a block ` ```yaml file=PATH ` becomes that file, and each
//! line of a ` ```console ` block that begins with `$ ` is run by the shell; what follows is what it must print. After a
//! wanted change `OPRC_UPDATE_GOLDEN=1 cargo test --test policy_cli pages` writes the outputs anew (never where `CI` is
//! set): read the diff. `docs/samples/decisions.jsonl` is there from the start. What needs a cluster stands in ` ```sh ` or ` ```text ` blocks, which are left alone.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

/// A directory in which a page is followed, with the built program in its `PATH`.
struct Bench {
    dir: tempfile::TempDir,
    path: String,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join(".bin")).unwrap();
        symlink(env!("CARGO_BIN_EXE_oprc-crm"), dir.path().join(".bin/oprc-crm")).unwrap();
        let log = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/samples/decisions.jsonl");
        fs::copy(log, dir.path().join("decisions.jsonl")).unwrap();
        let path = format!("{}:{}", dir.path().join(".bin").display(), std::env::var("PATH").unwrap());
        Self { dir, path }
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.dir.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// What a command prints on both outputs.
    fn run(&self, command: &str) -> String {
        let mut shell = Command::new("sh");
        shell.current_dir(self.dir.path()).env_clear().env("PATH", &self.path).env("HOME", self.dir.path());
        shell.env("LC_ALL", "C").env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
        for who in ["AUTHOR", "COMMITTER"] {
            shell.env(format!("GIT_{who}_NAME"), "author").env(format!("GIT_{who}_EMAIL"), "author@example.org");
        }
        // One pipe for both, so that what is printed stands in its order.
        let output = shell.arg("-c").arg(format!("exec 2>&1; {command}")).stdin(Stdio::null()).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }

    /// The page as it is when what it shows is what happens, and how many commands it has.
    fn follow(&self, page: &str) -> (String, usize) {
        let (mut out, mut commands) = (String::new(), 0);
        let mut lines = page.lines().peekable();
        while let Some(line) = lines.next() {
            let _ = writeln!(out, "{line}");
            let file = line.strip_prefix("```yaml file=");
            if file.is_none() && line != "```console" {
                continue;
            }
            let mut block = Vec::new();
            for line in lines.by_ref().take_while(|line| *line != "```") {
                block.push(line);
            }
            if let Some(file) = file {
                let text = block.join("\n") + "\n";
                self.write(file, &text);
                out.push_str(&text);
            } else {
                for command in block.iter().filter_map(|line| line.strip_prefix("$ ")) {
                    let _ = writeln!(out, "$ {command}");
                    out.push_str(&self.run(command));
                    commands += 1;
                }
            }
            out.push_str("```\n");
        }
        (out, commands)
    }
}

/// Follows a page and compares, or writes it anew.
fn holds(name: &str, least: usize) {
    let update = std::env::var_os("OPRC_UPDATE_GOLDEN").is_some();
    assert!(!(update && std::env::var_os("CI").is_some()), "CI compares, it never writes: unset OPRC_UPDATE_GOLDEN");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
    let page = fs::read_to_string(&path).unwrap();
    let (followed, commands) = Bench::new().follow(&page);
    assert!(commands >= least, "docs/{name} has {commands} commands, there were {least}");
    if update {
        fs::write(&path, followed).unwrap();
        return;
    }
    if let Some((at, (shown, real))) =
        page.lines().zip(followed.lines()).enumerate().find(|(_, (shown, real))| shown != real)
    {
        let real_block: Vec<&str> = followed.lines().skip(at).take_while(|line| *line != "```").collect();
        panic!(
            "docs/{name}:{}: the page shows\n  {shown}\nand what happens is\n  {real}\n\nfrom there on:\n{}\n\nmend the \
             page, or OPRC_UPDATE_GOLDEN=1 cargo test --test policy_cli pages",
            at + 1,
            real_block.join("\n")
        );
    }
    assert_eq!(page, followed, "docs/{name} has another end");
}

#[test]
fn the_page_for_policy_authors_does_what_it_shows() {
    holds("policy.md", 12);
}

#[test]
fn the_page_for_auditors_does_what_it_shows() {
    holds("audit.md", 13);
}

#[test]
fn a_page_that_shows_what_does_not_happen_is_found() {
    let page = "text\n```yaml file=a/b.yaml\nx: 1\n```\n```console\n$ cat a/b.yaml\nx: 2\n$ echo one; echo two >&2\none\ntwo\n```\n\
                ```sh\n$ false\n```\n";
    let (followed, commands) = Bench::new().follow(page);
    assert_eq!((followed, commands), (page.replace("x: 2", "x: 1"), 2));
}
