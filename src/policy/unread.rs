//! What follows from a file that could not be read: names that it seems to declare are missed elsewhere, and saying so
//! for each of them would bury the one fault that there is.

use super::bundle::File;
use super::diagnostic::{Diagnostic, Sink};
use super::facts;

/// The files of a bundle in which something could not be read.
pub(super) struct Unread<'a>(Vec<&'a File>);

impl<'a> Unread<'a> {
    pub(super) fn among(files: impl Iterator<Item = &'a File>, sink: &Sink) -> Self {
        Self(files.filter(|file| sink.has_errors_in(&file.name)).collect())
    }

    /// Whether a finding is but that a name is not known which one of these files seems to declare.
    pub(super) fn explains(&self, found: &Diagnostic) -> bool {
        let unknown = |root: &str| found.message.strip_prefix(&format!("`{root}` has no `"))?.strip_suffix('`');
        let seems = |name: &str, declares: fn(&str, &str) -> bool| {
            self.0.iter().any(|file| {
                let found = file.text.match_indices(name).filter_map(|(at, _)| file.text.split_at_checked(at));
                found.into_iter().any(|(before, rest)| {
                    let behind = rest.get(name.len()..).unwrap_or_default();
                    !before.ends_with(is_word) && !behind.starts_with(is_word) && declares(before, behind)
                })
            })
        };
        unknown("params")
            .is_some_and(|name| seems(name, |before, behind| behind.starts_with(':') && !before.ends_with('.')))
            || unknown(facts::SIGNALS).is_some_and(|name| {
                seems(name, |before, _| before.trim_end_matches([' ', '"', '\'']).ends_with("name:"))
            })
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::Unread;
    use crate::policy::bundle::File;
    use crate::policy::diagnostic::{Diagnostic, Sink};

    #[test]
    fn a_name_that_an_unread_file_seems_to_declare_is_not_missed() {
        let file = |name: &str, text: &str| File { name: name.to_owned(), text: text.to_owned() };
        let files = [
            file(
                "broken.yaml",
                "params:\n  most: {default: 2}\n  x_y: 1\nmetadata: {name: cpu}\nwhen: params.used > 1.0",
            ),
            file("sound.yaml", "params: {other: {default: 2}}"),
        ];
        let mut sink = Sink::default();
        sink.push(Diagnostic::whole("broken.yaml", "torn"));
        let unread = Unread::among(files.iter(), &sink);
        let explains = |message: &str| unread.explains(&Diagnostic::whole("a.yaml", message));
        for known in ["`params` has no `most`", "`params` has no `x_y`", "`signals` has no `cpu`"] {
            assert!(explains(known), "{known}");
        }
        for missed in
            ["`params` has no `used`", "`params` has no `other`", "`params` has no `x`", "`params` has no `cpu`"]
        {
            assert!(!explains(missed), "{missed}");
        }
        assert!(!explains("`signals` has no `most`") && !explains("`nfr` has no `most`"));
    }
}
