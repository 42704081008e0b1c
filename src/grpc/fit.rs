//! Error answers of a size that every client takes. Pure.
//!
//! A failed call answers in HTTP headers, and clients bound those: gRPC's C core, and with it Python, Ruby and C++,
//! refuses more than 8 KiB (its soft limit; 16 KiB is the hard one), and its user then sees `RESOURCE_EXHAUSTED` instead
//! of what is wrong. The bounds here leave room for the other headers, of which a correlation id may take 1 KiB.

use std::collections::HashMap;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt as _};

use crate::model::FieldError;

/// Longest text of an answer, in bytes as they travel: what is not plain is percent-encoded.
const MESSAGE: usize = 1_536;
/// Most bytes of fields and descriptions in the details of an answer; they travel as base64, beside the text once more.
const DETAILS: usize = 1_920;
/// Longest path of a field, bytes.
const FIELD: usize = 160;
/// Longest part of a text about one thing, bytes.
const PART: usize = 320;
/// What stands for that which was cut out.
const CUT: &str = " … ";

/// An answer with its text and its details cut to what every client takes.
pub(super) fn answer(code: Code, message: &str, mut details: ErrorDetails) -> Status {
    if let Some(violations) = details.bad_request().map(|bad| fitting(&bad.field_violations)) {
        details.set_bad_request(violations);
    }
    if let Some(info) = details.error_info().cloned() {
        let metadata = info.metadata.into_iter().map(|(key, value)| (key, part(&value))).collect::<HashMap<_, _>>();
        details.set_error_info(part(&info.reason), info.domain, metadata);
    }
    if let Some(info) = details.resource_info().cloned() {
        details.set_resource_info(info.resource_type, part(&info.resource_name), part(&info.owner), info.description);
    }
    Status::with_error_details(code, middle(message, MESSAGE, bytes_travelling), details)
}

/// One text of several parts: as many as fit, and how many more there are.
pub(super) fn joined(parts: impl ExactSizeIterator<Item = String>) -> String {
    let all = parts.len();
    let mut text = String::new();
    for (index, one) in parts.enumerate() {
        let separator = if index == 0 { "" } else { "; " };
        // Room for the words about the rest is kept.
        if index > 0 && travelling(&text) + travelling(&one) > MESSAGE - 64 {
            return format!("{text}; and {} more", all - index);
        }
        text = format!("{text}{separator}{one}");
    }
    text
}

/// A fault in one line, cut to size.
pub(super) fn line(fault: &FieldError) -> String {
    format!("{}: {}", field(&fault.field), part(&fault.message))
}

/// The first violations, as many as fit, each cut to size.
fn fitting(violations: &[FieldViolation]) -> Vec<FieldViolation> {
    let cut = violations.iter().map(|one| FieldViolation::new(field(&one.field), part(&one.description)));
    let mut used = 0;
    // One always fits.
    let fits = |one: &FieldViolation| {
        used += one.field.len() + one.description.len();
        used <= DETAILS
    };
    cut.take_while(fits).collect()
}

fn field(path: &str) -> String {
    middle(path, FIELD, char::len_utf8)
}

/// What is said about one thing, cut to size.
pub(super) fn part(text: &str) -> String {
    middle(text, PART, char::len_utf8)
}

/// A text without its middle where it is too long, each character being so many bytes: a long value stands between what
/// it is and what to do.
fn middle(text: &str, most: usize, bytes: impl Fn(char) -> usize) -> String {
    let all = |text: &str| text.chars().map(&bytes).sum::<usize>();
    if all(text) <= most {
        return text.to_owned();
    }
    let room = most.saturating_sub(all(CUT)) / 2;
    let length = |characters: &mut dyn Iterator<Item = char>| {
        let mut used = 0;
        let fits = |one: &char| {
            used += bytes(*one);
            used <= room
        };
        characters.take_while(fits).map(char::len_utf8).sum::<usize>()
    };
    let (head, tail) = (length(&mut text.chars()), text.len() - length(&mut text.chars().rev()));
    let part = |range| text.get(range).unwrap_or_default();
    format!("{}{CUT}{}", part(0..head), part(tail..text.len()))
}

/// Bytes of a text once it is percent-encoded, at most.
fn travelling(text: &str) -> usize {
    text.chars().map(bytes_travelling).sum()
}

fn bytes_travelling(one: char) -> usize {
    if one.is_ascii_alphanumeric() || "-_.,:;/=[]()'".contains(one) { 1 } else { 3 * one.len_utf8() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::decision::{Admission, Finding, TemplateProblem};
    use crate::grpc::{StoreError, status};

    /// gRPC's C core refuses more than 8 KiB of headers, each counted with 32 bytes more; a correlation id may take 1 KiB
    /// of them, and dates, types and encodings the rest.
    const ROOM: usize = 8_192 - 1_100 - 400;

    fn size(status: Status) -> usize {
        let response = status.into_http::<()>();
        response.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum()
    }

    fn text() -> impl Strategy<Value = String> {
        prop_oneof![
            "\\PC{0,40}",
            (any::<char>(), 0..20_000_usize).prop_map(|(one, times)| one.to_string().repeat(times)),
            (0..3_000_usize).prop_map(|times| "a \"b\" {c} ".repeat(times)),
        ]
    }

    proptest! {
        #[test]
        fn every_error_answer_is_of_a_size_that_clients_take(
            faults in vec((text(), text()), 1..60),
            texts in vec(text(), 3),
            count in 1..60_usize,
        ) {
            let faults: Vec<_> =
                faults.into_iter().map(|(field, message)| FieldError { field, message }).collect();
            let [one, two, three] = &texts[..] else { unreachable!() };
            let findings = vec![Finding { rule: one.clone(), message: two.clone() }; count];
            let admission = Admission { denials: findings, warnings: Vec::new(), trace: Vec::new() };
            let unknown = TemplateProblem::Unknown { asked: one.clone(), choices: vec![two.clone(); count] };
            let as_they_are = |faults: &[FieldError]| faults.to_vec();
            for status in [
                status::invalid(&faults),
                status::not_found(one),
                status::unusable(one),
                status::name_taken(one, two, three),
                status::unavailable(one.as_str(), Duration::from_secs(1)),
                status::denied(&admission, two),
                status::no_template(&unknown, three),
                status::store(StoreError::Invalid(faults.clone()), as_they_are),
                status::store(StoreError::Precondition { reason: "REASON", message: one.clone() }, as_they_are),
                status::store(StoreError::Internal(one.clone()), as_they_are),
            ] {
                let code = status.code();
                let size = size(status);
                prop_assert!(size <= ROOM, "{code:?}: {size} bytes");
            }
        }

        #[test]
        fn what_fits_stays_as_it_is_and_what_does_not_keeps_both_ends(text in text(), most in 20..400_usize) {
            let cut = middle(&text, most, char::len_utf8);
            if text.len() <= most {
                prop_assert_eq!(cut, text);
            } else {
                prop_assert!(cut.len() <= most);
                let (head, tail) = cut.split_once(CUT).unwrap();
                prop_assert!(text.starts_with(head) && text.ends_with(tail));
                prop_assert!(cut.len() + 8 >= most, "no more is left out than need be");
            }
        }
    }

    #[test]
    fn of_many_faults_the_first_are_told_and_the_others_counted() {
        let fault = |index| FieldError {
            field: format!("deployment_unit.functions[{index}].image"),
            message: "must not be empty; name the container image to run".to_owned(),
        };
        let status = status::invalid(&(0..60).map(fault).collect::<Vec<_>>());
        let told = status.get_details_bad_request().unwrap().field_violations;
        assert!(told.len() >= 10 && told.len() < 60, "{}", told.len());
        assert_eq!(told.first().unwrap().field, "deployment_unit.functions[0].image");
        let in_words = status.message().matches(".image: must not be empty").count();
        assert!(in_words >= 10, "{in_words}");
        assert!(status.message().ends_with(&format!("; and {} more", 60 - in_words)), "{}", status.message());
    }

    #[test]
    fn a_long_value_is_cut_and_what_to_do_about_it_stays() {
        let message = format!("unknown mode {:?}; choose off, observe or enforce", "x".repeat(1 << 20));
        let status = status::invalid_field("deployment_unit.enforcement.mode", &message);
        assert!(status.message().starts_with("deployment_unit.enforcement.mode: unknown mode \"xxx"));
        assert!(status.message().ends_with("xxx\"; choose off, observe or enforce"), "{}", status.message());
    }
}
