//! `--watch`: a command runs again whenever a file of the bundle's directory changes, until Ctrl-C.

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use jiff::Zoned;
use tokio::signal::unix::{SignalKind, signal};

use super::origin::{Origin, Refused};
use crate::policy::{Bundle, Diagnostics, File, Look, Watched};

/// How often the directory is looked at. A change is seen once two looks in a row find the same.
const LOOK: Duration = Duration::from_millis(200);
/// Clears a terminal and what was scrolled out of it.
const CLEAR: &str = "\x1b[2J\x1b[3J\x1b[H";
/// Changed files that are named.
const NAMED: usize = 3;

/// Runs now and after each change. `text` says whether the answers are for people: a machine reads one document.
pub(super) fn watch(origin: &Origin, text: bool, run: impl Fn(Result<Bundle, Refused>) -> ExitCode) -> ExitCode {
    let refuse = |why: String| Refused::Unreadable(why).exit();
    let Origin::Dir(dir) = origin else {
        return refuse(format!("--watch: {origin} does not change; name a directory"));
    };
    if !text {
        return refuse("--watch: the answers are for people; leave --format out".to_owned());
    }
    if let Err(Refused::Unreadable(error)) = origin.files() {
        return refuse(error);
    }
    let watched = Watched::new(dir);
    match crate::cli::block_on(until_interrupt(dir, watched, run)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => refuse(error),
    }
}

async fn until_interrupt(
    dir: &Path,
    mut watched: Watched,
    run: impl Fn(Result<Bundle, Refused>) -> ExitCode,
) -> Result<(), String> {
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| format!("no SIGINT handler: {error}"))?;
    let mut read = watched.read();
    loop {
        let seen = read.as_ref().ok().cloned();
        let _ = run(read.and_then(|files| Bundle::of(&files)).map_err(Refused::from));
        if !say(&format!("watching {}; Ctrl-C ends\n", dir.display())) {
            return Ok(());
        }
        read = loop {
            tokio::select! {
                _ = interrupt.recv() => return Ok(()),
                () = tokio::time::sleep(LOOK) => {}
            }
            if let Look::Changed(read) = watched.look() {
                break read;
            }
        };
        let clear = if std::io::stdout().is_terminal() { CLEAR } else { "\n" };
        let now = Zoned::now().strftime("%H:%M:%S").to_string();
        say(&format!("{clear}== {now} {}\n", changes(dir, seen.as_deref(), &read)));
    }
}

/// Says something at once; whether anybody reads it.
fn say(text: &str) -> bool {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_ok()
}

/// What changed, in words; `before` is what was read last, where it could be.
fn changes(dir: &Path, before: Option<&[File]>, after: &Result<Vec<File>, Diagnostics>) -> String {
    let (before, after) = match (before, after) {
        (_, Err(_)) => return "the directory can't be read as a bundle".to_owned(),
        (None, Ok(_)) => return "the directory can be read again".to_owned(),
        (Some(before), Ok(after)) => (before, after),
    };
    let text = |files: &[File], name: &str| files.iter().find(|file| file.name == name).map(|file| file.text.clone());
    let mut names: Vec<&str> = before.iter().chain(after).map(|file| file.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let mut changed: Vec<String> = Vec::new();
    for name in names {
        let word = match (text(before, name), text(after, name)) {
            (Some(old), Some(new)) if old == new => continue,
            (Some(_), Some(_)) => "changed",
            (None, _) => "is new",
            (_, None) => "is gone",
        };
        let shown = Path::new(name).strip_prefix(dir).unwrap_or(Path::new(name));
        changed.push(format!("{} {word}", shown.display()));
    }
    let more = changed.len().saturating_sub(NAMED);
    changed.truncate(NAMED);
    if more > 0 {
        changed.push(format!("{more} more"));
    }
    changed.join(", ")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{File, changes};
    use crate::policy::Diagnostics;

    fn files(texts: &[(&str, &str)]) -> Vec<File> {
        texts.iter().map(|(name, text)| File { name: format!("p/{name}"), text: (*text).to_owned() }).collect()
    }

    #[test]
    fn what_changed_is_named_by_file() {
        let before = files(&[("a.yaml", "1"), ("b.yaml", "1"), ("c.yaml", "1")]);
        let said = |after: &[(&str, &str)]| changes(Path::new("p"), Some(&before), &Ok(files(after)));
        assert_eq!(said(&[("a.yaml", "1"), ("b.yaml", "2"), ("c.yaml", "1")]), "b.yaml changed");
        assert_eq!(
            said(&[("a.yaml", "1"), ("b.yaml", "2"), ("x/d.yaml", "1")]),
            "b.yaml changed, c.yaml is gone, x/d.yaml is new"
        );
        assert_eq!(said(&[("d.yaml", ""), ("e.yaml", "")]), "a.yaml is gone, b.yaml is gone, c.yaml is gone, 2 more");
    }

    #[test]
    fn a_directory_that_can_not_be_read_and_its_mending_are_named() {
        let unreadable = Err(Diagnostics(Vec::new()));
        assert_eq!(changes(Path::new("p"), Some(&[]), &unreadable), "the directory can't be read as a bundle");
        assert_eq!(changes(Path::new("p"), None, &Ok(Vec::new())), "the directory can be read again");
    }
}
