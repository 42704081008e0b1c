//! Going back to what ran before.

use std::sync::Arc;

use serde_json::json;

use super::{Basis, World, at, basis, names};
use crate::rollout::{Health, Rollout, Verdict, decode, encode, page};

/// Lets everybody go over whose turn comes.
fn through(world: &mut World, mut state: Rollout, mut second: i64) -> Rollout {
    while state.wait(at(second)).is_some() {
        if let Some(released) = state.release(world.find(), at(second)) {
            state = released.next;
        }
        second += 1;
    }
    world.reconcile(&state);
    state
}

fn offer(world: &World, state: &Rollout, candidate: &Arc<Basis>, second: i64) -> Rollout {
    let next = state.offer(candidate, &world.live(), at(second)).next;
    decode(&encode(&next).unwrap()).unwrap()
}

/// Eight of ten classes went over by an approved change from the first of these to the last.
fn approved() -> (World, [Arc<Basis>; 3], Rollout) {
    let (old, held) = (basis("", "pace: 10/s"), basis("full_rps: 1000", "pace: 10/s"));
    let allowed = basis("full_rps: 1000", "pace: 10/s, hold_above: 100%");
    let mut world = World::new(2, 8);
    let state = Rollout::new(Arc::clone(&old), at(0));
    world.reconcile(&state);
    let state = offer(&world, &state, &held, 10);
    assert_eq!(state.pending().unwrap().verdict(), Verdict::Held);
    let state = offer(&world, &state, &allowed, 20);
    let state = through(&mut world, state, 20);
    assert_eq!(names(&world.outcomes(), "full"), 8);
    (world, [old, held, allowed], state)
}

#[test]
fn a_revert_of_an_approved_change_is_paced_and_needs_no_second_commit() {
    let (mut world, [old, ..], state) = approved();
    let back = offer(&world, &state, &old, 100);
    assert_eq!(back.pending().unwrap().verdict(), Verdict::Paced);
    let outlook = back.outlook().unwrap();
    assert!(outlook.contains("it is what ran before, and to go back is not held"), "{outlook}");
    assert_eq!(page(&state, &Health::default())["previous"], json!(old.policy().revision()));
    let back = through(&mut world, back, 100);
    assert!(back.pending().is_none());
    assert_eq!(names(&world.outcomes(), "edge"), 10);
}

#[test]
fn a_revert_in_the_middle_of_a_change_is_paced_too_and_whoever_has_not_gone_over_stays() {
    let mut world = World::new(2, 8);
    let (old, allowed) = (basis("", "pace: 1/s"), basis("full_rps: 1000", "pace: 1/s, hold_above: 100%"));
    let mut state = Rollout::new(Arc::clone(&old), at(0));
    world.reconcile(&state);
    state = offer(&world, &state, &allowed, 10);
    for second in 10..16 {
        state = state.release(world.find(), at(second)).unwrap().next;
    }
    assert_eq!(names(&world.reconcile(&state), "full"), 6);
    let back = offer(&world, &state, &old, 16);
    assert_eq!((back.pending().unwrap().verdict(), back.pending().unwrap().waiting()), (Verdict::Paced, 6));
}

#[test]
fn a_bound_that_is_taken_back_on_the_way_does_not_hold_the_way_back() {
    let (mut world, [old, held, _], state) = approved();
    // The approval is withdrawn first: nobody notices, so what ran before is still what ran before.
    let state = offer(&world, &state, &held, 100);
    assert!(state.pending().is_none());
    let back = offer(&world, &state, &old, 200);
    assert_eq!(back.pending().unwrap().verdict(), Verdict::Paced);
    let back = through(&mut world, back, 200);
    assert_eq!(names(&world.outcomes(), "edge"), 10);
    // And forth again it is a change like any other.
    assert_eq!(offer(&world, &back, &held, 300).pending().unwrap().verdict(), Verdict::Held);
}

#[test]
fn the_commit_that_a_revert_makes_is_no_other_policy() {
    let (world, _, state) = approved();
    let same = basis("", "pace: 10/s}, metadata: {commit: abcdef012345");
    assert!(same.policy().revision().ends_with("@abcdef012345"));
    assert_eq!(offer(&world, &state, &same, 100).pending().unwrap().verdict(), Verdict::Paced);
    // What is neither what runs nor what ran is held.
    assert_eq!(offer(&world, &state, &basis("full_rps: 1400", ""), 100).pending().unwrap().verdict(), Verdict::Held);
}
