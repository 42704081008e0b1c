//! The commands of `docs/integrator.md`, executed with the real client, print what the page says.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::start;
use crate::support::class::SOON;
use crate::support::{eventually, shipped};

/// One command of the page, and what it prints.
#[derive(Debug)]
struct Example {
    command: String,
    output: Vec<String>,
}

/// Every `$` line of the page's consoles, to the end of its quotes, with the lines below it.
fn examples(page: &str) -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    let consoles = page.split("```console\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    for line in consoles.flat_map(str::lines) {
        if let Some(command) = line.strip_prefix("$ ") {
            examples.push(Example { command: command.to_owned(), output: Vec::new() });
            continue;
        }
        let example = examples.last_mut().expect("a console begins with a command");
        if example.command.matches('\'').count() % 2 == 1 {
            example.command.push('\n');
            example.command.push_str(line);
        } else {
            example.output.push(line.to_owned());
        }
    }
    examples
}

/// Whether the lines are what the page shows; `...` is any number of them, none too.
fn prints(wanted: &[String], lines: &[&str]) -> bool {
    match (wanted.split_first(), lines.split_first()) {
        (Some((first, rest)), _) if first == "..." => {
            prints(rest, lines) || lines.split_first().is_some_and(|(_, lines)| prints(wanted, lines))
        }
        (Some((first, rest)), Some((line, lines))) => first == line && prints(rest, lines),
        (None, None) => true,
        _ => false,
    }
}

/// The client that the page uses, built from its module.
fn grpcurl() -> PathBuf {
    let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/grpcurl");
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("grpcurl");
    let mut go = Command::new("go");
    go.args(["build", "-trimpath", "-o"]).arg(&program).arg("github.com/fullstorydev/grpcurl/cmd/grpcurl");
    go.current_dir(module).env("CGO_ENABLED", "0").env("GOWORK", "off").env("GOFLAGS", "-mod=readonly");
    let built = go.output().expect("go is installed");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    program
}

/// Standard output and error together, as in a terminal.
fn run(command: &str, program: &Path) -> String {
    let path = format!("{}:{}", program.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let ran =
        Command::new("sh").args(["-c", &format!("({command}) 2>&1")]).env("PATH", path).output().expect("a shell");
    String::from_utf8(ran.stdout).expect("text")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_of_the_integrators_page_prints_what_the_page_says() {
    let (crm, _) = start("integrator").await;
    let program = tokio::task::spawn_blocking(grpcurl).await.unwrap();
    let examples = examples(&shipped("docs/integrator.md"));
    assert!(examples.len() >= 10, "{examples:?}");
    for Example { command, output } in examples {
        let command = command.replace("localhost:8088", &crm.address.to_string());
        // What a class is and whether it is gone takes a moment.
        eventually(SOON, &command, || async {
            let (command, program) = (command.clone(), program.clone());
            let printed = tokio::task::spawn_blocking(move || run(&command, &program)).await.unwrap();
            let lines: Vec<&str> = printed.lines().collect();
            if prints(&output, &lines) { Ok(()) } else { Err(printed) }
        })
        .await;
    }
    crm.stop().await;
}

#[test]
fn a_page_is_read_as_commands_with_their_output_and_dots_stand_for_any_lines() {
    let page = "x\n```console\n$ a 'b\n  c' d\none\n...\n$ e\n```\n";
    let found = examples(page);
    assert_eq!((found[0].command.as_str(), found[1].command.as_str()), ("a 'b\n  c' d", "e"));
    for (lines, same) in [(&["one"][..], true), (&["one", "two", "three"], true), (&["two"], false), (&[], false)] {
        assert_eq!(prints(&found[0].output, lines), same, "{lines:?}");
    }
    assert!(!prints(&found[1].output, &["more"]));
}
