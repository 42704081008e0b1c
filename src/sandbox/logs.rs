//! The end of a log file, for error messages.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// No message needs more of a file than this.
const BYTES: u64 = 16 * 1024;

/// The last `lines` lines of a file; says so where it is empty or cannot be read.
pub(super) fn tail(path: &Path, lines: usize) -> String {
    let text = match read_end(path) {
        Ok(text) => text,
        Err(error) => return format!("(its log {} cannot be read: {error})", path.display()),
    };
    let kept: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let kept = kept.get(kept.len().saturating_sub(lines)..).unwrap_or_default();
    if kept.is_empty() { format!("(its log {} is empty)", path.display()) } else { kept.join("\n") }
}

fn read_end(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(BYTES)))?;
    let mut bytes = Vec::new();
    file.take(BYTES).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn shows_the_last_lines_and_nothing_else() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(tail(file.path(), 2).contains("is empty"));
        std::fs::write(file.path(), "one\n\ntwo\nthree\n").unwrap();
        assert_eq!(tail(file.path(), 2), "two\nthree");
        assert_eq!(tail(file.path(), 9), "one\ntwo\nthree");
        assert!(tail(Path::new("/nowhere/at/all"), 2).contains("cannot be read"));
    }
}
