//! The answer of a data grid. Pure, and tolerant: a field that is not as agreed is as good as left out.
//!
//! Agreed is (docs/decisions/0019) `{"leader": "2", "partitions": {"total": 8, "healthy": 7, "degraded": ["carts/3"]}}`,
//! all of it optional, more of it ignored.

use serde_json::Value;

use super::GridHealth;
use crate::api::OdgmPartitions;

/// Names of degraded partitions that are kept; their number stands beside them.
const MAX_NAMES: usize = 32;
/// Longest name that is kept, characters.
const MAX_NAME: usize = 63;

/// Reads an answer; `None` where it says nothing that is agreed.
pub(super) fn read(body: &[u8]) -> Option<GridHealth> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    let leader =
        answer.get("leader").and_then(|leader| if leader.is_null() { Some(String::new()) } else { name(leader) });
    let partitions = answer.get("partitions").and_then(partitions);
    (leader.is_some() || partitions.is_some()).then_some(GridHealth { leader, partitions })
}

fn partitions(said: &Value) -> Option<OdgmPartitions> {
    let number = |key: &str| said.get(key).and_then(Value::as_i64).and_then(|number| i32::try_from(number).ok());
    let number = |key: &str| number(key).filter(|number| *number >= 0);
    let (total, healthy) = (number("total"), number("healthy"));
    // One that contradicts the other says nothing.
    let agree = total.zip(healthy).is_none_or(|(total, healthy)| healthy <= total);
    let (total, healthy) = if agree { (total, healthy) } else { (None, None) };
    let names = said.get("degraded").and_then(Value::as_array);
    let mut degraded: Vec<String> =
        names.into_iter().flatten().filter_map(name).filter(|one| !one.is_empty()).collect();
    // Another order is no other answer.
    degraded.sort_unstable();
    degraded.dedup();
    degraded.truncate(MAX_NAMES);
    let says = total.is_some() || healthy.is_some() || names.is_some();
    says.then_some(OdgmPartitions { total, healthy, degraded })
}

/// A text or a whole number, as one line of bounded length.
fn name(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_u64() => number.to_string(),
        _ => return None,
    };
    Some(text.chars().filter(|c| !c.is_control()).take(MAX_NAME).collect::<String>().trim().to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::{GridHealth, MAX_NAME, MAX_NAMES, OdgmPartitions, read};

    fn answer(value: &Value) -> Option<GridHealth> {
        read(value.to_string().as_bytes())
    }

    fn partitions(total: Option<i32>, healthy: Option<i32>, degraded: &[&str]) -> OdgmPartitions {
        OdgmPartitions { total, healthy, degraded: degraded.iter().map(ToString::to_string).collect() }
    }

    #[test]
    fn what_is_agreed_is_read() {
        let said = json!({"leader": "2", "partitions": {"total": 8, "healthy": 6, "degraded": ["carts/3", "carts/1"]}});
        let health = answer(&said).unwrap();
        assert_eq!(health.leader.as_deref(), Some("2"));
        assert_eq!(health.partitions, Some(partitions(Some(8), Some(6), &["carts/1", "carts/3"])));
    }

    #[test]
    fn every_field_may_be_left_out_and_others_may_stand_beside_it() {
        let leader = answer(&json!({"leader": 7, "term": 12})).unwrap();
        assert_eq!((leader.leader.as_deref(), leader.partitions), (Some("7"), None));
        let counts = answer(&json!({"partitions": {"total": 4, "shards": []}})).unwrap();
        assert_eq!((counts.leader, counts.partitions), (None, Some(partitions(Some(4), None, &[]))));
        let names = answer(&json!({"partitions": {"degraded": [3, "a"]}})).unwrap();
        assert_eq!(names.partitions, Some(partitions(None, None, &["3", "a"])));
    }

    #[test]
    fn no_leader_is_something_else_than_nothing_said_of_it() {
        assert_eq!(answer(&json!({"leader": null})).unwrap().leader.as_deref(), Some(""));
        assert_eq!(answer(&json!({"partitions": {"total": 1}})).unwrap().leader, None);
    }

    #[test]
    fn what_is_not_as_agreed_is_as_good_as_left_out() {
        for said in [
            json!({}),
            json!([]),
            json!("ok"),
            json!(null),
            json!({"leader": {"id": 1}}),
            json!({"leader": -1}),
            json!({"partitions": 8}),
            json!({"partitions": {"total": "8"}}),
            json!({"partitions": {"total": -1}}),
            json!({"partitions": {"total": 1.5, "degraded": "carts/1"}}),
            json!({"partitions": {"total": 3, "healthy": 4}}),
            json!({"partitions": {"total": 5_000_000_000_u64}}),
        ] {
            assert_eq!(answer(&said), None, "{said}");
        }
        for garbage in [&b"<html>"[..], b"", b"{\"leader\": \"1\"", b"\xff\xfe", &[b'['; 4096]] {
            assert_eq!(read(garbage), None);
        }
        let half = json!({"leader": true, "partitions": {"total": 2, "healthy": 2, "degraded": [{}, "", "a"]}});
        assert_eq!(answer(&half).unwrap().partitions, Some(partitions(Some(2), Some(2), &["a"])));
    }

    #[test]
    fn the_order_of_the_names_says_nothing_and_a_name_is_one_line() {
        let said = |names: &[&str]| answer(&json!({"partitions": {"degraded": names}}));
        assert_eq!(said(&["b", "a", "b"]), said(&["a", "b"]));
        assert_eq!(said(&["a\nb\u{1b}[31m"]).unwrap().partitions, Some(partitions(None, None, &["ab[31m"])));
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_answer_of_bounded_size_or_none(body in prop::collection::vec(any::<u8>(), 0..200)) {
            read(&body);
        }

        #[test]
        fn names_are_bounded(names in prop::collection::vec("\\PC{0,100}", 0..80), leader in "\\PC{0,100}") {
            let health = answer(&json!({"leader": leader, "partitions": {"degraded": names}})).unwrap();
            let kept = health.partitions.unwrap().degraded;
            prop_assert!(kept.len() <= MAX_NAMES && kept.is_sorted());
            for name in kept.iter().chain(&health.leader) {
                prop_assert!(name.chars().count() <= MAX_NAME, "{}", name);
            }
        }
    }
}
