//! It is lost what the classes were decided by.

use std::io::{Read as _, Write as _};
use std::sync::Arc;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde_json::json;

use super::{World, at, basis, names, record};
use crate::rollout::{Basis, Health, KeepError, Offer, Rollout, Verdict, decode, encode, page};

/// A world on `before`, of which it is lost what it was decided by, and what `wanted` makes of it.
fn regained(world: &mut World, before: &Arc<Basis>, wanted: &Arc<Basis>) -> Offer {
    world.reconcile(&Rollout::new(Arc::clone(before), at(0)));
    let offer = Rollout::regain(wanted, &world.live(), at(100));
    let next = decode(&encode(&offer.next).unwrap()).unwrap();
    Offer { next, ..offer }
}

#[test]
fn where_it_is_lost_what_classes_were_decided_by_those_that_have_another_template_are_held_as_they_are() {
    let mut world = World::new(12, 8);
    let Offer { next, radius } = regained(&mut world, &basis("", ""), &basis("full_rps: 1000", ""));
    assert_eq!(radius.summary(), "8 of 20 classes (40 %) change: template edge -> full (8) by Template/full (8)");
    assert_eq!((next.pending().unwrap().verdict(), next.pending().unwrap().lost()), (Verdict::Held, 8));
    let wild = next.judge(&world.0["c012"].0, Some("edge")).unwrap();
    assert!(wild.frozen && wild.pending.unwrap().message.contains("not known any more"));
    let calm = next.judge(&world.0["c000"].0, Some("edge")).unwrap();
    assert!(!calm.frozen && calm.pending.is_none());
    assert_eq!(page(&next, &Health::default())["pending"]["waiting_on"], json!([{"revision": null, "classes": 8}]));
    // Still as before after the next restart, and until a revision allows it.
    let mut state = next.offer(&basis("full_rps: 1000", "hold_above: 50%, pace: 4/s"), &world.live(), at(200)).next;
    assert!(state.judge(&world.0["c012"].0, Some("edge")).unwrap().frozen);
    for second in [200, 201] {
        state = state.release(world.find(), at(second)).unwrap().next;
    }
    assert!(state.pending().is_none());
    assert_eq!(names(&world.reconcile(&state), "full"), 8);
}

#[test]
fn where_it_is_lost_what_classes_were_decided_by_those_that_have_what_they_would_get_go_on() {
    let mut world = World::new(12, 8);
    let old = basis("", "");
    assert!(regained(&mut world, &old, &old).next.pending().is_none());
    // The same template, but what is seen of one differs from what the template gives it now.
    let mut live = world.live();
    live[3].fits = false;
    let next = Rollout::regain(&old, &live, at(100)).next;
    assert_eq!((next.pending().unwrap().verdict(), next.pending().unwrap().waiting()), (Verdict::Paced, 1));
    assert!(next.judge(&world.0["c003"].0, Some("edge")).unwrap().frozen);
    // Going back to what they have needs no approval.
    let held = regained(&mut world, &old, &basis("full_rps: 1000", "")).next;
    assert!(held.offer(&old, &world.live(), at(200)).next.pending().is_none());
    // What can't be read now stays pinned too.
    world.spoil("c000", true);
    assert_eq!(Rollout::regain(&old, &world.live(), at(100)).next.pending().unwrap().waiting(), 1);
}

#[test]
fn a_record_that_changes_while_it_is_lost_what_it_was_decided_by_is_followed_and_keeps_its_template() {
    let mut world = World::new(0, 8);
    let next = regained(&mut world, &basis("", ""), &basis("full_rps: 1000", "")).next;
    let judged = next.judge(&record("c000", 1300, 2), Some("edge")).unwrap();
    assert!(!judged.frozen && judged.pending.is_some());
    let chosen = judged.decision.template.unwrap();
    assert_eq!((chosen.plan.name.as_str(), chosen.why.as_str()), ("edge", "edge is kept until the class's turn"));
    // A template that is gone can't be kept.
    let judged = next.judge(&record("c000", 1300, 2), Some("gone")).unwrap();
    assert_eq!(judged.decision.plan().unwrap().name, "full");
}

/// What is kept of a state, with the files of all its bundles changed.
fn tampered(state: &Rollout, from: &str, to: &str) -> Result<Rollout, KeepError> {
    let mut json = String::new();
    GzDecoder::new(encode(state).unwrap().as_slice()).read_to_string(&mut json).unwrap();
    assert!(json.contains(from));
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(json.replace(from, to).as_bytes()).unwrap();
    decode(&packed.finish().unwrap())
}

#[test]
fn a_kept_bundle_that_does_not_load_any_more_costs_only_those_who_wait_on_it_what_they_were_decided_by() {
    let mut world = World::new(0, 8);
    let state = Rollout::new(basis("full_rps: 1501", ""), at(0));
    world.reconcile(&state);
    let next = state.offer(&basis("full_rps: 1000", ""), &world.live(), at(100)).next;
    let old = tampered(&next, "full_rps: 1501", "full_rps: nope").unwrap();
    assert_eq!(old.target().id(), next.target().id());
    assert_eq!((old.pending().unwrap().verdict(), old.pending().unwrap().lost()), (Verdict::Held, 8));
    assert!(old.judge(&world.0["c000"].0, Some("edge")).unwrap().frozen);
    let error = tampered(&next, "full_rps: 1000", "full_rps: nope").unwrap_err().to_string();
    assert!(error.contains("does not load in this version of the program"), "{error}");
}
