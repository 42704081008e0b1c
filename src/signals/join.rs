//! From the labels of a series to the component that it measures.

use std::collections::BTreeMap;

use crate::policy::Join;

use super::pods::{Belonging, ComponentKey, of_revision};
use super::{Fault, FaultKind, Pods};

/// What a series is about: a component, and which part of it. Two series about the same part are one too many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct About {
    pub(super) component: ComponentKey,
    /// The pod or revision; empty where the series is about the whole component.
    pub(super) part: String,
    /// Only what was measured before this moment.
    pub(super) before: i64,
}

/// Finds the component of a series; `None` for one that is not ours.
pub(super) fn about(
    join: Join,
    labels: &BTreeMap<String, String>,
    pods: &Pods,
    is_known: impl Fn(&ComponentKey) -> bool,
) -> Result<Option<About>, Fault> {
    let mut needed = join.labels().iter().map(|names| one_of(labels, names));
    // Each join needs two: the namespace, and what it is named by.
    let (Some(namespace), Some(named)) = (needed.next(), needed.next()) else { return Ok(None) };
    let (namespace, named) = (namespace?, named?);
    match join {
        Join::Pod => {
            let found = pods.component(namespace, named, is_known);
            Ok(found.map(|Belonging { component, before }| About { component, part: named.to_owned(), before }))
        }
        Join::Workload => {
            let component = Some(ComponentKey::new(namespace, named)).filter(is_known);
            Ok(component.map(|component| About { component, part: String::new(), before: i64::MAX }))
        }
        Join::Revision => {
            let component = of_revision(named).map(|service| ComponentKey::new(namespace, service)).filter(is_known);
            Ok(component.map(|component| About { component, part: named.to_owned(), before: i64::MAX }))
        }
    }
}

fn one_of<'a>(labels: &'a BTreeMap<String, String>, names: &[&str]) -> Result<&'a str, Fault> {
    names.iter().find_map(|name| labels.get(*name)).map(String::as_str).ok_or_else(|| {
        let have: Vec<&str> = labels.keys().map(String::as_str).collect();
        let have = if have.is_empty() { "none".to_owned() } else { have.join(", ") };
        let message = format!(
            "a series of the query has no label {}, so it can't be told what it measures (its labels: {have}); \
             keep the label in the query, as in sum by (namespace, pod) (...)",
            names.join(" or ")
        );
        Fault::new(FaultKind::Garbage, message)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn found(join: Join, pairs: &[(&str, &str)]) -> Option<(String, String)> {
        let known = |key: &ComponentKey| key.workload == "shop" && key.namespace == "n";
        about(join, &labels(pairs), &Pods::default(), known)
            .unwrap()
            .map(|about| (about.component.workload, about.part))
    }

    #[test]
    fn each_join_reads_its_labels() {
        let shop = |part: &str| Some(("shop".to_owned(), part.to_owned()));
        let pod = "shop-5d9c45-x2x4z";
        assert_eq!(found(Join::Pod, &[("namespace", "n"), ("pod", pod)]), shop(pod));
        assert_eq!(found(Join::Workload, &[("namespace", "n"), ("deployment", "shop")]), shop(""));
        assert_eq!(
            found(Join::Revision, &[("namespace_name", "n"), ("revision_name", "shop-00003")]),
            shop("shop-00003")
        );
        assert_eq!(found(Join::Revision, &[("namespace", "n"), ("revision", "shop-v3")]), None);
        assert_eq!(found(Join::Workload, &[("namespace", "m"), ("workload", "shop")]), None);
    }

    #[test]
    fn a_series_without_its_label_is_a_fault_that_names_it() {
        let fault =
            about(Join::Pod, &labels(&[("namespace", "n"), ("job", "x")]), &Pods::default(), |_| true).unwrap_err();
        assert!(fault.message.contains("no label pod") && fault.message.contains("job, namespace"), "{fault}");
    }
}
