//! The bundle that is part of the binary: the files of `policies/`, which are nowhere else.

use super::bundle::File;

macro_rules! files {
    ($($path:literal),* $(,)?) => {
        /// Name and text of each shipped file.
        const FILES: &[(&str, &str)] = &[$(($path, include_str!(concat!("../../policies/", $path)))),*];
    };
}

files![
    "admission.yaml",
    "bundle.yaml",
    "recommendations.yaml",
    "safeguards.yaml",
    "signals.yaml",
    "templates/dev.yaml",
    "templates/edge.yaml",
    "templates/full.yaml",
    "templates/knative.yaml",
    "tests/admission.yaml",
    "tests/recommendations.yaml",
    "tests/safeguards.yaml",
    "tests/signals.yaml",
    "tests/templates.yaml",
];

/// The shipped files; diagnostics name them `builtin/...`.
pub(super) fn files() -> Vec<File> {
    FILES.iter().map(|(name, text)| File { name: format!("builtin/{name}"), text: (*text).to_owned() }).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::path::Path;

    #[test]
    fn every_shipped_file_is_part_of_the_binary() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
        let mut on_disk: Vec<String> = crate::policy::source::read(&dir)
            .unwrap()
            .into_iter()
            .map(|file| Path::new(&file.name).strip_prefix(&dir).unwrap().display().to_string())
            .collect();
        on_disk.sort();
        let mut compiled: Vec<String> = super::FILES.iter().map(|(name, _)| (*name).to_owned()).collect();
        compiled.sort();
        assert_eq!(on_disk, compiled);
    }
}
