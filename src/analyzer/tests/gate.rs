//! Invariant 1: nothing is written without the right, the gate, the record's mode and its dimension.

use proptest::prelude::*;

use super::super::act::Gate;
use super::class;
use crate::audit::WhyNot;
use crate::policy::Dimension;

const ALL: [(&str, Dimension); 3] =
    [("replicas", Dimension::Replicas), ("cpu", Dimension::Cpu), ("memory", Dimension::Memory)];

proptest! {
    /// Fails with any of the four conditions of `Gate::closed` left out.
    #[test]
    fn the_gate_is_open_only_where_everything_says_so(
        feature in any::<bool>(), right in any::<bool>(),
        mode in prop::sample::select(vec!["off", "observe", "enforce"]),
        listed in prop::sample::subsequence(vec!["replicas", "cpu", "memory"], 1..=3),
    ) {
        let class = class(mode, &listed);
        let gate = Gate { feature, right, class: &class };
        for (name, dimension) in ALL {
            let open = feature && right && mode == "enforce" && listed.contains(&name);
            prop_assert_eq!(gate.closed(dimension).is_none(), open, "{}: {:?}", name, gate.closed(dimension));
        }
        prop_assert!(gate.closed(Dimension::Partitions).is_some(), "partitions are advice");
    }
}

#[test]
fn a_closed_gate_names_what_a_person_could_change_first() {
    let (observed, enforced) = (class("observe", &["replicas"]), class("enforce", &["cpu"]));
    let (listed, all) = (class("enforce", &["replicas"]), class("enforce", &[]));
    let why = |feature, right, class| Gate { feature, right, class }.closed(Dimension::Replicas);
    assert_eq!(why(false, false, &observed), Some(WhyNot::Gate));
    assert_eq!(why(true, false, &observed), Some(WhyNot::Mode));
    assert_eq!(why(true, false, &enforced), Some(WhyNot::Dimension));
    assert_eq!(why(true, false, &listed), Some(WhyNot::NoRight));
    // No dimension listed means replicas.
    assert_eq!(why(true, true, &all), None);
}
