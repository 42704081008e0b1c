#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::float_cmp)]

use crate::decision::run_tests;
use crate::policy::{Bundle, Diagnostics, File};

mod invariants;
mod replay;
mod shipped;
mod stories;

/// The policies of these tests, and a Test document on top.
fn bundle(test: &str) -> Result<Bundle, Diagnostics> {
    let files = [("policies.yaml", include_str!("policies.yaml")), ("test.yaml", test)];
    let files = files.map(|(name, text)| File { name: name.to_owned(), text: text.to_owned() });
    Bundle::read(&files, &[])
}

/// Faults of all cases of a Test whose `spec` is given.
fn faults(spec: &str) -> Vec<String> {
    let head = "apiVersion: policy.oaas.io/v1alpha1\nkind: Test\nmetadata: {name: story}\nspec:\n";
    let body = spec.lines().map(|line| ["  ", line, "\n"].concat()).collect::<String>();
    let run =
        bundle(&[head, &body].concat()).and_then(|bundle| run_tests(&bundle)).unwrap_or_else(|found| panic!("{found}"));
    run.cases.into_iter().flat_map(|case| case.faults).collect()
}
