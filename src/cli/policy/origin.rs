//! Where a bundle is read from: a directory, the binary itself, or a directory as a git revision has it.

use std::fmt;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::str::FromStr;

use crate::policy::{Bundle, Diagnostics, File, MAX_BYTES, MAX_FILES, MAX_TOTAL, Watched, is_policy_file};

/// Names the shipped bundle.
const BUILTIN: &str = "builtin";
const GIT: &str = "git:";

/// Where a bundle is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Origin {
    /// The bundle that is part of the binary.
    Builtin,
    /// A directory.
    Dir(PathBuf),
    /// A directory as it was in a revision of its git repository; without a path the one that is talked about.
    Git { revision: String, path: Option<PathBuf> },
}

/// Why there is no bundle.
pub(in crate::cli) enum Refused {
    /// It can't be read at all: no verdict about policies, in one line.
    Unreadable(String),
    /// It is read, and wrong.
    Wrong(Diagnostics),
}

impl FromStr for Origin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == BUILTIN {
            return Ok(Self::Builtin);
        }
        let Some(rest) = text.strip_prefix(GIT) else { return Ok(Self::Dir(PathBuf::from(text))) };
        let (revision, path) = match rest.split_once(':') {
            Some((revision, path)) => (revision, Some(path)),
            None => (rest, None),
        };
        if revision.is_empty() || revision.starts_with('-') || path == Some("") {
            return Err("write git:REVISION or git:REVISION:DIRECTORY, such as git:HEAD~1:policies".to_owned());
        }
        Ok(Self::Git { revision: revision.to_owned(), path: path.map(PathBuf::from) })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Builtin => f.write_str(BUILTIN),
            Self::Dir(dir) => write!(f, "{}", dir.display()),
            Self::Git { revision, path: None } => write!(f, "{GIT}{revision}"),
            Self::Git { revision, path: Some(path) } => write!(f, "{GIT}{revision}:{}", path.display()),
        }
    }
}

impl From<Diagnostics> for Refused {
    fn from(found: Diagnostics) -> Self {
        Self::Wrong(found)
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(error) => f.write_str(error),
            Self::Wrong(found) => write!(f, "{found}"),
        }
    }
}

impl Refused {
    /// Tells it: 2 for what can't be read, else 1.
    pub(in crate::cli) fn exit(&self) -> ExitCode {
        match self {
            Self::Unreadable(error) => {
                crate::cli::complain(format_args!("oprc-crm policy: {error}"));
                ExitCode::from(2)
            }
            Self::Wrong(found) => {
                crate::cli::complain(format_args!("{found}\n"));
                ExitCode::from(1)
            }
        }
    }
}

impl Origin {
    /// The same, where a git revision without a directory means this one.
    #[must_use]
    pub(in crate::cli) fn beside(self, other: &Self) -> Self {
        match (self, other) {
            (Self::Git { revision, path: None }, Self::Dir(dir) | Self::Git { path: Some(dir), .. }) => {
                Self::Git { revision, path: Some(dir.clone()) }
            }
            (origin, _) => origin,
        }
    }

    /// Reads the bundle.
    pub(in crate::cli) fn read(&self) -> Result<Bundle, Refused> {
        match self {
            Self::Builtin => Ok(Bundle::builtin()?),
            other => Ok(Bundle::of(&other.files()?)?),
        }
    }

    /// Reads the files of the bundle.
    pub(in crate::cli) fn files(&self) -> Result<Vec<File>, Refused> {
        match self {
            Self::Builtin => Ok(Bundle::builtin_files()),
            Self::Dir(dir) => match std::fs::read_dir(dir) {
                // A directory that is not there, or can't be read, is no verdict about policies.
                Err(error) => Err(Refused::Unreadable(format!(
                    "{}: {error}; name the directory that holds the bundle",
                    dir.display()
                ))),
                Ok(_) => Ok(Watched::new(dir).read()?),
            },
            Self::Git { revision, path } => {
                let dir = path.as_deref().unwrap_or(Path::new("."));
                files(revision, dir).map_err(Refused::Unreadable)
            }
        }
    }
}

/// A file of a revision.
struct Blob {
    id: String,
    name: String,
}

/// The policy files below a directory, as a revision has them. They are named `REVISION:FILE`, as git does.
fn files(revision: &str, dir: &Path) -> Result<Vec<File>, String> {
    // The directory may be gone since: git is asked from the nearest one that is there.
    let here = |dir: &Path| if dir.as_os_str().is_empty() { PathBuf::from(".") } else { dir.to_owned() };
    let base = dir.ancestors().map(here).find(|dir| dir.is_dir()).unwrap_or_else(|| PathBuf::from("."));
    let rest = dir.strip_prefix(&base).unwrap_or(if base.as_os_str() == "." { dir } else { Path::new("") });
    let rest = if rest.as_os_str() == "." { Path::new("") } else { rest };
    git(&base, &["rev-parse", "--git-dir"], b"")
        .map_err(|error| format!("{} is in no git repository ({error})", dir.display()))?;
    let commit = git(&base, &["rev-parse", "--verify", "--quiet", &format!("{revision}^{{commit}}")], b"")
        .map_err(|_| format!("git knows no revision {revision:?} in {}", base.display()))?;
    let commit = String::from_utf8_lossy(&commit).trim().to_owned();
    let rest = rest.to_string_lossy();
    let mut list = vec!["ls-tree", "-r", "-l", "-z", commit.as_str()];
    if !rest.is_empty() {
        list.extend(["--", &rest]);
    }
    let listed = git(&base, &list, b"")?;
    let blobs = blobs(&String::from_utf8_lossy(&listed), &rest, revision)?;
    if blobs.is_empty() {
        return Err(format!("revision {revision} has no *.yaml file in {}", dir.display()));
    }
    let ids: Vec<&str> = blobs.iter().map(|blob| blob.id.as_str()).collect();
    let texts = contents(&git(&base, &["cat-file", "--batch"], ids.join("\n").as_bytes())?)?;
    if texts.len() != blobs.len() {
        return Err(format!("git gave {} of {} files of revision {revision}", texts.len(), blobs.len()));
    }
    let name = |blob: &Blob| format!("{revision}:{}", base.join(&blob.name).display()).replace(":./", ":");
    Ok(blobs.iter().zip(texts).map(|(blob, text)| File { name: name(blob), text }).collect())
}

/// The policy files in a listing of `git ls-tree -r -l -z`: `MODE TYPE ID SIZE<tab>PATH`.
fn blobs(listing: &str, dir: &str, revision: &str) -> Result<Vec<Blob>, String> {
    let mut found = Vec::new();
    let mut total = 0;
    for (head, name) in listing.split('\0').filter_map(|entry| entry.split_once('\t')) {
        let within = name.strip_prefix(dir).unwrap_or(name).trim_start_matches('/');
        if !is_policy_file(Path::new(within)) {
            continue;
        }
        let mut head = head.split_whitespace();
        let (mode, kind, id) = (head.next(), head.next(), head.next().unwrap_or_default());
        let size = head.next().and_then(|size| size.parse::<u64>().ok()).unwrap_or(0);
        if mode == Some("120000") || kind != Some("blob") {
            return Err(format!("{revision}:{name} is no file but a link, which is not followed within a revision"));
        }
        if size > MAX_BYTES {
            return Err(format!("{revision}:{name}: {size} bytes are too long for a policy file; at most {MAX_BYTES}"));
        }
        total += size;
        found.push(Blob { id: id.to_owned(), name: name.to_owned() });
    }
    if found.len() > MAX_FILES {
        return Err(format!("revision {revision} has more than {MAX_FILES} policy files there"));
    }
    if total > MAX_TOTAL as u64 {
        return Err(format!(
            "the policy files of revision {revision} have {total} bytes together; at most {MAX_TOTAL}"
        ));
    }
    Ok(found)
}

/// The texts that `git cat-file --batch` answers: `ID TYPE SIZE`, a line break, the content, a line break.
fn contents(mut answer: &[u8]) -> Result<Vec<String>, String> {
    let broken = || "git cat-file gave an answer that makes no sense".to_owned();
    let mut texts = Vec::new();
    while !answer.is_empty() {
        let end = answer.iter().position(|byte| *byte == b'\n').ok_or_else(broken)?;
        let (head, rest) = answer.split_at(end);
        let head = String::from_utf8_lossy(head);
        let size: usize = head.rsplit(' ').next().and_then(|size| size.parse().ok()).ok_or_else(broken)?;
        let content = rest.get(1..=size).ok_or_else(broken)?;
        let text = String::from_utf8(content.to_vec()).map_err(|_| format!("{head}: the file is no UTF-8"))?;
        texts.push(text);
        answer = rest.get(size + 2..).ok_or_else(broken)?;
    }
    Ok(texts)
}

/// Runs git in a directory; an error is its first line.
fn git(dir: &Path, args: &[&str], input: &[u8]) -> Result<Vec<u8>, String> {
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => "git is not installed: install it, or name a directory".to_owned(),
        _ => format!("git: {error}"),
    };
    let mut command = Command::new("git");
    command.arg("-C").arg(dir).args(args);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(failed)?;
    // At most MAX_FILES names of objects: they fit into a pipe, so nothing waits for the answer to be read.
    if let Some(mut stdin) = child.stdin.take()
        && let Err(error) = stdin.write_all(input)
        && error.kind() != std::io::ErrorKind::BrokenPipe
    {
        return Err(failed(error));
    }
    let output = child.wait_with_output().map_err(failed)?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let first = said.lines().next().unwrap_or("it failed without a word");
    Err(format!("git: {}", first.trim_start_matches("fatal: ")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_bundle_is_named_by_directory_word_or_revision() {
        let git = |revision: &str, path: Option<&str>| Origin::Git {
            revision: revision.to_owned(),
            path: path.map(PathBuf::from),
        };
        for (text, expected) in [
            ("builtin", Origin::Builtin),
            ("./builtin", Origin::Dir(PathBuf::from("./builtin"))),
            ("git:HEAD~1", git("HEAD~1", None)),
            ("git:v1.2:a/b", git("v1.2", Some("a/b"))),
        ] {
            let origin: Origin = text.parse().unwrap();
            assert_eq!(origin, expected);
            assert_eq!(origin.to_string(), text);
        }
        for wrong in ["git:", "git::a", "git:HEAD:", "git:--output=x:a"] {
            assert!(wrong.parse::<Origin>().unwrap_err().contains("write git:REVISION"), "{wrong}");
        }
        let dir = Origin::Dir(PathBuf::from("p"));
        assert_eq!(git("HEAD", None).beside(&dir), git("HEAD", Some("p")));
        assert_eq!(git("HEAD", Some("q")).beside(&dir), git("HEAD", Some("q")));
        assert_eq!(dir.clone().beside(&git("HEAD", None)), dir);
    }

    #[test]
    fn answers_of_git_are_taken_apart() {
        let listing = "100644 blob aaa      12\tp/a.yaml\x00100644 blob bbb      9\tp/.hidden/b.yaml\x00100644 blob ccc \
                       9\tp/notes.md\x00100755 blob ddd      9\tp/sub/d.yml\x00";
        let found: Vec<_> = blobs(listing, "p", "HEAD").unwrap().into_iter().map(|blob| (blob.id, blob.name)).collect();
        let expected = [("aaa", "p/a.yaml"), ("ddd", "p/sub/d.yml")].map(|(id, name)| (id.to_owned(), name.to_owned()));
        assert_eq!(found, expected);
        let link = blobs("120000 blob aaa 3\tp/a.yaml\0", "p", "HEAD").err().unwrap();
        assert_eq!(link, "HEAD:p/a.yaml is no file but a link, which is not followed within a revision");
        let long = blobs("100644 blob aaa 9999999\ta.yaml\0", "", "v1").err().unwrap();
        assert!(long.starts_with("v1:a.yaml: 9999999 bytes are too long"), "{long}");
        assert_eq!(contents(b"aaa blob 3\na\nb\nbbb blob 0\n\n").unwrap(), ["a\nb", ""]);
        for broken in [&b"aaa blob 3\na"[..], b"aaa missing\n", b"aaa"] {
            assert!(contents(broken).is_err());
        }
    }
}
