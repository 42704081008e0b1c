//! The picture in `docs/architecture.md` stays true: pure rooms stay pure, rooms use only what they may, files stay
//! small. Every message names file, line and what is forbidden there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// Rooms without I/O, clock or client: the same code in the controller and offline.
const PURE: [&str; 6] = ["model", "policy", "decision", "render", "rollout", "backtest"];

/// Paths that no pure room may name, and why.
const IMPURE: [(&str, &str); 17] = [
    ("tokio", "asynchronous I/O"),
    ("tokio_stream", "asynchronous I/O"),
    ("tokio_util", "asynchronous I/O"),
    ("futures", "asynchronous I/O"),
    ("tonic", "the wire"),
    ("axum", "the wire"),
    ("tower", "the wire"),
    ("rand", "chance"),
    ("kube::Client", "the Kubernetes client"),
    ("kube::Api", "the Kubernetes client"),
    ("kube::client", "the Kubernetes client"),
    ("kube::api::Api", "the Kubernetes client"),
    ("kube::runtime", "the Kubernetes client"),
    ("std::fs", "files"),
    ("std::net", "the network"),
    ("std::env", "the environment"),
    ("std::process", "processes"),
];

/// Clocks, wherever they are called. Time is a parameter.
const CLOCKS: [&str; 6] = ["SystemTime::now", "Instant::now", "Utc::now", "Local::now", "Timestamp::now", "Zoned::now"];

/// Files of pure rooms with a door to the outside: (file, path that it may name).
const DOORS: [(&str, &str); 2] = [("src/policy/source.rs", "std::fs"), ("src/policy/store.rs", "std::fs")];

/// What a room may use of the others. Rooms that are not listed may use all.
const MAY_USE: [(&str, &[&str]); 15] = [
    ("backtest", &["decision", "policy"]),
    ("api", &[]),
    ("model", &["api"]),
    ("policy", &[]),
    ("decision", &["api", "model", "policy"]),
    ("render", &["api", "decision", "model"]),
    ("rollout", &["api", "decision", "model", "policy", "render"]),
    ("config", &["decision", "policy"]),
    // What the services need of the cluster are traits of their own; `cluster` implements them.
    ("grpc", &["api", "decision", "model", "policy", "render", "server"]),
    ("server", &[]),
    ("telemetry", &[]),
    ("sandbox", &["analyzer", "api", "audit", "cluster", "grpc", "model"]),
    ("signals", &["policy"]),
    ("audit", &["decision", "policy", "rollout", "telemetry"]),
    (
        "analyzer",
        &[
            "api",
            "audit",
            "cluster",
            "controller",
            "decision",
            "model",
            "policy",
            "render",
            "rollout",
            "signals",
            "telemetry",
        ],
    ),
];

/// Longest file, lines.
const MAX_LINES: usize = 600;

/// A path that a source names, such as `std::fs::read`.
struct Named {
    path: String,
    line: usize,
}

/// Everything of the form `a::b` in a source; `use` trees are taken apart. Comments and literals do not count.
fn named(source: &str) -> Vec<Named> {
    let code = strip(source);
    let mut found = Vec::new();
    let mut rest = code.as_str();
    let mut at = 0;
    while let Some(start) = rest.find(|c: char| c.is_alphabetic() || c == '_') {
        let tail = &rest[start..];
        let line = 1 + code[..at + start].matches('\n').count();
        let is_use = tail.starts_with("use ") || tail.starts_with("use\n");
        let end = if is_use {
            let end = tail.find(';').unwrap_or(tail.len());
            expand("", &tail[4..end], line, &mut found);
            end
        } else {
            let end = tail.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).unwrap_or(tail.len());
            found.push(Named { path: tail[..end].trim_end_matches(':').to_owned(), line });
            end
        };
        at += start + end;
        rest = &code[at..];
    }
    found
}

/// `a::{b, c::d}` -> `a::b`, `a::c::d`.
fn expand(prefix: &str, tree: &str, line: usize, found: &mut Vec<Named>) {
    let (mut depth, mut here, mut start) = (0, line, line);
    let mut part = String::new();
    for c in tree.chars().chain([',']) {
        match c {
            '\n' => here += 1,
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if c != ',' || depth > 0 {
            if part.is_empty() {
                start = here;
            }
            if !(part.is_empty() && c.is_whitespace()) {
                part.push(c);
            }
            continue;
        }
        let one = std::mem::take(&mut part);
        if let Some((head, group)) = one.split_once('{') {
            let group = group.trim_end().trim_end_matches('}');
            expand(&format!("{prefix}{}", head.trim()), group, start, found);
        } else if let Some(path) = one.split(" as ").next().map(str::trim).filter(|path| !path.is_empty()) {
            found.push(Named { path: format!("{prefix}{path}"), line: start });
        }
    }
}

/// The source with comments and literals blanked; lines stay where they are.
fn strip(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut chars = source.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek()) {
            ('/', Some('/')) => while chars.next_if(|c| *c != '\n').is_some() {},
            ('/', Some('*')) => {
                let mut last = ' ';
                for c in chars.by_ref() {
                    if c == '\n' {
                        out.push('\n');
                    }
                    if last == '*' && c == '/' {
                        break;
                    }
                    last = c;
                }
            }
            ('r', Some('"' | '#')) if !out.ends_with(|c: char| c.is_alphanumeric() || c == '_') => {
                raw(&mut chars, &mut out);
            }
            ('"', _) => string(&mut chars, &mut out),
            ('\'', Some('"' | '\\')) => {
                // A character literal that would otherwise open a string: '"', '\'', '\\'.
                if chars.next() == Some('\\') {
                    chars.next();
                }
            }
            _ => out.push(c),
        }
    }
    out
}

fn string(chars: &mut std::iter::Peekable<std::str::Chars<'_>>, out: &mut String) {
    while let Some(c) = chars.next() {
        match c {
            '"' => return,
            '\\' if chars.next() == Some('\n') => {
                out.push('\n');
            }
            '\n' => out.push('\n'),
            _ => {}
        }
    }
}

fn raw(chars: &mut std::iter::Peekable<std::str::Chars<'_>>, out: &mut String) {
    let mut hashes = 0;
    while chars.next_if_eq(&'#').is_some() {
        hashes += 1;
    }
    if chars.next_if_eq(&'"').is_none() {
        return; // r#identifier
    }
    while let Some(c) = chars.next() {
        if c == '\n' {
            out.push('\n');
        }
        if c == '"' {
            let mut closing = 0;
            while closing < hashes && chars.next_if_eq(&'#').is_some() {
                closing += 1;
            }
            if closing == hashes {
                return;
            }
        }
    }
}

/// Whether `path` is `prefix` or lies below it.
fn below(path: &str, prefix: &str) -> bool {
    let path = path.trim_start_matches("::");
    path == prefix || path.strip_prefix(prefix).is_some_and(|rest| rest.starts_with("::"))
}

/// What a file of `src/` does that its room may not, as `file:line: message`.
fn violations(file: &str, source: &str) -> Vec<String> {
    let Some(room) = file.strip_prefix("src/").and_then(|path| path.split(['/', '.']).next()) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for Named { path, line } in named(source) {
        if PURE.contains(&room) {
            for (impure, what) in IMPURE.iter().filter(|(impure, _)| below(&path, impure)) {
                if !DOORS.contains(&(file, impure)) {
                    found.push(format!(
                        "{file}:{line}: `{path}`: the room `{room}` is pure, it may not use {what} ({impure})"
                    ));
                }
            }
            if let Some(clock) = CLOCKS.iter().find(|clock| path.ends_with(*clock)) {
                found.push(format!("{file}:{line}: `{clock}`: the room `{room}` is pure, time is a parameter there"));
            }
        }
        let used = path.strip_prefix("crate::").and_then(|rest| rest.split("::").next());
        let may_use = MAY_USE.iter().find(|(name, _)| *name == room);
        if let (Some(used), Some((_, may_use))) = (used, may_use)
            && used != room
            && !may_use.contains(&used)
        {
            let allowed = if may_use.is_empty() { "no other room".to_owned() } else { may_use.join(", ") };
            found.push(format!("{file}:{line}: `{path}`: the room `{room}` may use {allowed}, not `{used}`"));
        }
    }
    found
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(below: &str) -> Vec<(String, String)> {
    let mut files = Vec::new();
    let mut folders = vec![root().join(below)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/");
                files.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    files.sort();
    files
}

fn report(found: &[String]) -> String {
    let mut text = String::from("see docs/architecture.md for what each room may use\n");
    for one in found {
        let _ = writeln!(text, "  {one}");
    }
    text
}

#[test]
fn pure_rooms_stay_pure_and_rooms_use_only_what_they_may() {
    let sources = sources("src");
    for room in PURE {
        let folder = format!("src/{room}/");
        assert!(
            sources.iter().any(|(file, _)| file.starts_with(&folder)),
            "the room {folder} is gone: adapt this test"
        );
    }
    // Tests beside the code may read files; they are no part of the room.
    let rooms = sources.iter().filter(|(file, _)| !file.ends_with("/tests.rs") && !file.contains("/tests/"));
    let found: Vec<String> = rooms.flat_map(|(file, source)| violations(file, source)).collect();
    assert!(found.is_empty(), "{}", report(&found));
}

#[test]
fn files_stay_small_enough_to_read() {
    let all = sources("src").into_iter().chain(sources("tests"));
    let found: Vec<String> = all
        .filter_map(|(file, source)| {
            let lines = source.lines().count();
            (lines > MAX_LINES)
                .then(|| format!("{file}:{lines}: a file has at most {MAX_LINES} lines; split it by job"))
        })
        .collect();
    assert!(found.is_empty(), "{}", report(&found));
}

#[test]
fn what_is_forbidden_is_found_however_it_is_written() {
    for (source, line, what) in [
        ("use std::fs;", 1, "std::fs"),
        ("\nuse std::{collections::BTreeMap, fs::read};", 2, "std::fs"),
        ("use std::{\n    collections::{BTreeMap, BTreeSet},\n    net::TcpStream,\n};", 3, "std::net"),
        ("use kube::{Api, ResourceExt};", 1, "kube::Api"),
        ("fn f() {\n    let _ = ::std::env::var(\"X\");\n}", 2, "std::env"),
        ("let s = \"// no comment\"; tokio::spawn(f)", 1, "tokio"),
        ("let c = '\"'; let t = std::time::Instant::now();", 1, "Instant::now"),
        ("use std::time::SystemTime; /* a\nb */ fn f() { SystemTime::now() }", 2, "SystemTime::now"),
        ("use crate::cluster::Caches;", 1, "may use api, decision, model, not `cluster`"),
        ("fn f() { crate::grpc::serve() }", 1, "not `grpc`"),
    ] {
        let found = violations("src/render/x.rs", source);
        assert_eq!(found.len(), 1, "{source:?}: {found:?}");
        assert!(found[0].starts_with(&format!("src/render/x.rs:{line}: ")) && found[0].contains(what), "{found:?}");
    }
}

#[test]
fn what_is_allowed_is_not_found() {
    for (file, source) in [
        (
            "src/render/x.rs",
            "// std::fs\n/* tokio */ const A: &str = \"std::net\"; const B: &str = r#\"\" std::env \"#;",
        ),
        ("src/render/x.rs", "use crate::model::Class; use super::parts; use kube::CustomResource; fn tokio_like() {}"),
        ("src/cli/x.rs", "use std::fs; use tokio::net; use crate::grpc;"),
        ("src/policy/source.rs", "use std::fs;"),
    ] {
        assert_eq!(violations(file, source), Vec::<String>::new(), "{source}");
    }
    assert_eq!(violations("src/policy/source.rs", "use std::net;").len(), 1);
    assert_eq!(violations("src/policy/eval.rs", "use std::fs;").len(), 1);
}
