//! The log that the page for auditors shows is one that this program writes.

use std::fs;
use std::io;
use std::path::Path;

use serde_json::value::RawValue;

use super::at;
use super::log::{entry, policy};
use crate::audit::bundles::identify;
use crate::audit::journal::{Begun, STDOUT};
use crate::audit::line::InlineBundle;
use crate::audit::log::BundleLine;
use crate::audit::{Journal, Outcome, Output, WhyNot};

/// What goes to a standard output.
#[derive(Default)]
struct Text {
    bytes: Vec<u8>,
}

impl Output for Text {
    fn prepare(&mut self, _: usize) -> io::Result<Option<Begun>> {
        let begun = Begun { file: STDOUT.to_owned(), previous: None, kept_since: None };
        Ok(self.bytes.is_empty().then_some(begun))
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A rise that is applied, one that would be, and one that the cap holds.
pub(super) fn written() -> Vec<u8> {
    let loaded = policy(10);
    let mut journal = Journal::new(Text::default(), "oprc-crm-0");
    let (id, json) = identify(&loaded.source).unwrap();
    let source: &RawValue = serde_json::from_slice(&json).unwrap();
    let bundle = InlineBundle { id: id.as_str().into(), revision: loaded.policy.revision().into(), source };
    journal.append(at(300), &BundleLine { bundle }).unwrap();
    for entry in [
        entry(&loaded, 3.0, 4.0, Outcome::Applied),
        entry(&loaded, 4.0, 8.0, Outcome::WouldApply { because: WhyNot::Mode }),
        entry(&loaded, 6.0, 10.0, Outcome::Held),
    ] {
        journal.append(at(301), &entry.body(&id)).unwrap();
    }
    std::mem::take(&mut journal.output().bytes)
}

#[test]
fn the_log_of_the_page_is_what_is_written_today() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/samples/decisions.jsonl");
    let written = String::from_utf8(written()).unwrap();
    if std::env::var_os("OPRC_UPDATE_GOLDEN").is_some() {
        assert!(std::env::var_os("CI").is_none(), "CI compares, it never writes: unset OPRC_UPDATE_GOLDEN");
        fs::write(&path, &written).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap();
    assert!(
        kept == written,
        "OPRC_UPDATE_GOLDEN=1 cargo test --lib audit::tests::sample, then the pages, writes it anew"
    );
}
