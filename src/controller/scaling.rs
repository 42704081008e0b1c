//! What has to be done about the number of replicas, which has a field manager of its own. Pure.

use serde_json::Value;

use crate::cluster::caches::LiveObject;
use crate::cluster::scale::{Enforced, Holder, Owned, Unreadable, holder, number, owned_by};
use crate::cluster::{MANAGER, MANAGER_SCALE};
use crate::render::{ObjectKind, RenderedObject};

/// What the record and its template want of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aim {
    /// The number where the enforcer holds no higher one.
    pub base: u32,
    /// No more than this: an autoscaler's maximum.
    pub most: u32,
    /// The record lets the enforcer change replicas.
    pub enforced: bool,
}

impl Aim {
    /// What is wanted of an object; `None` where it has no number. `enforced` is whether the record lets the enforcer
    /// change replicas.
    pub fn of(object: &RenderedObject, enforced: bool) -> Option<Self> {
        let most = object.manifest.pointer("/spec/maxReplicas").and_then(Value::as_u64);
        let most = most.map_or(u32::MAX, |most| u32::try_from(most).unwrap_or(u32::MAX));
        Some(Self { base: object.replicas?, most, enforced })
    }

    /// The number to be: the base, or what the enforcer holds above it.
    fn number(&self, said: Option<Enforced>) -> Owned {
        let held = said.filter(|said| self.enforced && said.target > self.base);
        held.map_or_else(
            || Owned::base(self.base.min(self.most)),
            |said| Owned::enforced(Enforced { target: said.target.min(self.most), ..said }),
        )
    }
}

/// Who scales a Deployment besides us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scaled {
    /// Nobody.
    Not,
    /// An autoscaler of the class, rendered or about to go.
    ByOurs,
    /// An autoscaler of somebody else's, by its name.
    ByOthers(String),
}

/// What has to be done about the number of an object.
#[derive(Clone, Debug, PartialEq)]
pub enum ScaleChange {
    /// Nothing.
    None,
    /// Apply this.
    Set(Owned),
    /// Somebody else set the very number that is wanted: share it, so that it is ours to change later.
    Agree(Owned),
    /// An autoscaler set the number and is gone: take the field back with the number that it has.
    TakeBack(u32),
    /// An autoscaler scales it: what the enforcer wrote beside the number says nothing any more. The number, where it is
    /// still ours, goes with it unchanged.
    Forget(Option<u32>),
    /// Somebody else set another number: it is left alone.
    Held {
        /// Who, for people.
        by: String,
        /// Their number.
        replicas: i64,
    },
    /// Somebody else's autoscaler scales it, by its name.
    Left(String),
    /// What the enforcer wrote beside it can't be read: the number stays.
    Unreadable(Unreadable),
}

impl ScaleChange {
    /// What is said of a number that is not what the record wants; `wanted` is the record's number.
    pub fn note(&self, kind: ObjectKind, name: &str, wanted: u32) -> Option<String> {
        let title = format!("{} {name}", kind.title());
        match self {
            Self::Held { by, replicas } if kind == ObjectKind::Autoscaler => Some(format!(
                "{title} keeps its minReplicas of {replicas} as {by} set it (the record wants {wanted}); to hand it back, \
                 set it to {wanted}"
            )),
            Self::Held { by, replicas } => Some(format!(
                "{title} stays at {replicas} replicas as {by} set it (the record wants {wanted}); to hand it back, scale \
                 it to {wanted}"
            )),
            Self::Left(scaler) => Some(format!(
                "{title} is scaled by HorizontalPodAutoscaler {scaler}, which is not of this class: its replicas are left \
                 to that (the record wants {wanted})"
            )),
            Self::Unreadable(unreadable) => Some(format!(
                "{unreadable}; the number stays; remove the annotation, and the record's number counts again"
            )),
            _ => None,
        }
    }
}

/// The number that has to be shared with `oprc-crm-scale` before `oprc-crm` applies anything: a birth that was cut short
/// left it to `oprc-crm` alone, which lets go of it by its next apply.
pub fn unclaimed(live: &LiveObject) -> Option<u32> {
    let ours = owned_by(live, MANAGER) && !owned_by(live, MANAGER_SCALE);
    u32::try_from(number(live)).ok().filter(|_| ours)
}

/// Whether `oprc-crm` still owns the number, beside whoever is to.
pub fn unreleased(live: &LiveObject) -> bool {
    owned_by(live, MANAGER)
}

/// Compares the number that is wanted with the one that is there, and who owns it.
///
/// A number that others own alone is theirs. One that they share with us was agreed upon: a change of theirs would have
/// taken it from us. Nobody owns a 0 that was set through the scale subresource.
pub fn scale(aim: &Aim, live: &LiveObject, scaled: &Scaled) -> ScaleChange {
    let said = Enforced::read(live);
    let there = number(live);
    match scaled {
        Scaled::Not => {}
        _ if !matches!(said, Ok(None)) => return forget(live, there),
        Scaled::ByOurs => return ScaleChange::None,
        Scaled::ByOthers(name) => return ScaleChange::Left(name.clone()),
    }
    let (holder, _) = holder(live);
    if holder == Holder::Ours {
        return match said {
            Ok(said) => {
                let wanted = aim.number(said.clone());
                let same = there == i64::from(wanted.replicas) && wanted.enforced == said;
                if same { ScaleChange::None } else { ScaleChange::Set(wanted) }
            }
            Err(_) if !aim.enforced => ScaleChange::Set(aim.number(None)),
            Err(unreadable) => ScaleChange::Unreadable(unreadable),
        };
    }
    let wanted = [aim.number(said.ok().flatten()), aim.number(None)];
    if let Some(wanted) = wanted.into_iter().find(|wanted| i64::from(wanted.replicas) == there) {
        return ScaleChange::Agree(wanted);
    }
    match (holder, u32::try_from(there)) {
        (Holder::Autoscaling, Ok(there)) => ScaleChange::TakeBack(there),
        (Holder::Other(name), _) => ScaleChange::Held { by: format!("{name:?}"), replicas: there },
        (other, _) => ScaleChange::Held { by: other.changed_by().unwrap_or_default().to_owned(), replicas: there },
    }
}

fn forget(live: &LiveObject, there: i64) -> ScaleChange {
    ScaleChange::Forget(u32::try_from(there).ok().filter(|_| owned_by(live, MANAGER_SCALE)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use serde_json::{Value, json};

    use super::{Aim, Enforced, LiveObject, Owned, ScaleChange, Scaled, scale, unclaimed, unreleased};
    use crate::render::ObjectKind;

    pub(super) fn enforced(target: u32) -> Enforced {
        let at = "2026-01-01T00:00:00Z".parse().unwrap();
        Enforced { at, target, rule: "Recommendation/replicas/cpu-demand".to_owned(), revision: "r".to_owned() }
    }

    pub(super) fn live(kind: ObjectKind, managers: &[&str], replicas: i64, said: Option<&str>) -> LiveObject {
        let field = kind.scale_field().unwrap();
        let fields: Vec<Value> = managers
            .iter()
            .map(|name| {
                let subresource = if *name == "kube-controller-manager" { "scale" } else { "" };
                let fields = json!({"f:spec": {format!("f:{field}"): {}}});
                json!({"manager": name, "operation": "Apply", "subresource": subresource, "fieldsV1": fields})
            })
            .collect();
        let annotations = said.map(|text| json!({"oaas.io/enforced": text}));
        let content = json!({
            "metadata": {"name": "a", "managedFields": fields, "annotations": annotations}, "spec": {field: replicas},
        });
        LiveObject { kind, meta: serde_json::from_value(content["metadata"].clone()).unwrap(), content }
    }

    fn owned_by(managers: &[&str], replicas: i64) -> LiveObject {
        live(ObjectKind::Deployment, managers, replicas, None)
    }

    fn says(managers: &[&str], replicas: i64, said: &str) -> LiveObject {
        live(ObjectKind::Deployment, managers, replicas, Some(said))
    }

    fn aim(base: u32) -> Aim {
        Aim { base, most: u32::MAX, enforced: true }
    }

    fn free(base: u32, live: &LiveObject) -> ScaleChange {
        scale(&aim(base), live, &Scaled::Not)
    }

    #[test]
    fn replicas_follow_the_base_while_we_own_them() {
        assert_eq!(free(2, &owned_by(&["oprc-crm-scale"], 2)), ScaleChange::None);
        assert_eq!(free(3, &owned_by(&["oprc-crm-scale"], 2)), ScaleChange::Set(Owned::base(3)));
    }

    #[test]
    fn somebody_elses_number_is_left_alone() {
        let held = ScaleChange::Held { by: "\"kubectl\"".to_owned(), replicas: 7 };
        assert_eq!(free(2, &owned_by(&["kubectl"], 7)), held);
        // Scaled to 0 the field has no owner at all.
        let nobody = ScaleChange::Held { by: "somebody unnamed".to_owned(), replicas: 0 };
        assert_eq!(free(2, &owned_by(&[], 0)), nobody);
    }

    #[test]
    fn a_number_that_is_handed_back_is_shared_and_then_ours_to_change() {
        assert_eq!(free(7, &owned_by(&["kubectl"], 7)), ScaleChange::Agree(Owned::base(7)));
        assert_eq!(free(7, &owned_by(&["kubectl", "oprc-crm-scale"], 7)), ScaleChange::None);
        assert_eq!(free(2, &owned_by(&["kubectl", "oprc-crm-scale"], 7)), ScaleChange::Set(Owned::base(2)));
    }

    #[test]
    fn a_birth_that_was_cut_short_is_completed_without_passing_through_the_default() {
        let begun = owned_by(&["oprc-crm"], 2);
        assert_eq!((unreleased(&begun), unclaimed(&begun)), (true, Some(2)));
        let shared = owned_by(&["oprc-crm", "oprc-crm-scale"], 3);
        assert_eq!((unreleased(&shared), unclaimed(&shared)), (true, None));
        let done = owned_by(&["oprc-crm-scale"], 3);
        assert_eq!((unreleased(&done), unclaimed(&done)), (false, None));
    }

    #[test]
    fn a_higher_number_of_the_enforcers_stays() {
        let held = says(&["oprc-crm-scale"], 6, &enforced(6).text());
        for base in [2, 5] {
            assert_eq!(free(base, &held), ScaleChange::None, "{base}");
        }
    }

    #[test]
    fn a_base_that_reaches_the_enforcers_number_replaces_it() {
        let held = says(&["oprc-crm-scale"], 6, &enforced(6).text());
        assert_eq!(free(6, &held), ScaleChange::Set(Owned::base(6)), "and nothing says any more that it was enforced");
        assert_eq!(free(8, &held), ScaleChange::Set(Owned::base(8)));
    }

    #[test]
    fn where_the_record_lets_nobody_enforce_its_own_number_counts() {
        let held = says(&["oprc-crm-scale"], 6, &enforced(6).text());
        let observe = Aim { enforced: false, ..aim(2) };
        assert_eq!(scale(&observe, &held, &Scaled::Not), ScaleChange::Set(Owned::base(2)));
        assert_eq!(
            scale(&observe, &says(&["oprc-crm-scale"], 6, "rubbish"), &Scaled::Not),
            ScaleChange::Set(Owned::base(2))
        );
    }

    #[test]
    fn what_cannot_be_read_shrinks_nothing() {
        let change = free(2, &says(&["oprc-crm-scale"], 6, "rubbish"));
        assert!(matches!(change, ScaleChange::Unreadable(_)), "{change:?}");
    }

    #[test]
    fn a_person_hands_back_by_either_number() {
        let text = enforced(6).text();
        assert_eq!(free(2, &says(&["kubectl"], 6, &text)), ScaleChange::Agree(Owned::enforced(enforced(6))));
        assert_eq!(free(2, &says(&["kubectl"], 2, &text)), ScaleChange::Agree(Owned::base(2)));
        assert!(matches!(free(2, &says(&["kubectl"], 4, &text)), ScaleChange::Held { .. }));
    }

    #[test]
    fn under_an_autoscaler_nothing_is_written_but_what_the_enforcer_said_is_forgotten() {
        for managers in [&["kube-controller-manager"][..], &["oprc-crm-scale"], &["kubectl"]] {
            assert_eq!(scale(&aim(2), &owned_by(managers, 5), &Scaled::ByOurs), ScaleChange::None, "{managers:?}");
            let left = scale(&aim(2), &owned_by(managers, 5), &Scaled::ByOthers("h".to_owned()));
            assert_eq!(left, ScaleChange::Left("h".to_owned()));
        }
        let text = enforced(6).text();
        let forget = |managers: &[&str]| scale(&aim(2), &says(managers, 6, &text), &Scaled::ByOurs);
        assert_eq!(forget(&["oprc-crm-scale"]), ScaleChange::Forget(Some(6)), "with the number, which else fell to 1");
        assert_eq!(forget(&["kube-controller-manager"]), ScaleChange::Forget(None));
    }

    #[test]
    fn what_an_autoscaler_left_is_taken_back_with_the_number_that_it_has() {
        assert_eq!(free(2, &owned_by(&["kube-controller-manager"], 7)), ScaleChange::TakeBack(7));
        assert_eq!(free(7, &owned_by(&["kube-controller-manager"], 7)), ScaleChange::Agree(Owned::base(7)));
    }

    #[test]
    fn a_minimum_never_passes_its_maximum() {
        let aim = Aim { base: 2, most: 4, enforced: true };
        let held = live(ObjectKind::Autoscaler, &["oprc-crm-scale"], 6, Some(&enforced(6).text()));
        assert_eq!(scale(&aim, &held, &Scaled::Not), ScaleChange::Set(Owned::enforced(enforced(4))));
        let lowered = live(ObjectKind::Autoscaler, &["oprc-crm-scale"], 4, Some(&enforced(4).text()));
        assert_eq!(scale(&aim, &lowered, &Scaled::Not), ScaleChange::None);
    }
}

#[cfg(test)]
mod properties {
    use proptest::prelude::*;

    use super::tests::{enforced, live};
    use super::{Aim, Owned, ScaleChange, Scaled, scale};
    use crate::render::ObjectKind;

    const OTHERS: [&str; 2] = ["kubectl", "kube-controller-manager"];

    fn owners() -> impl Strategy<Value = Vec<&'static str>> {
        prop::sample::subsequence(vec!["oprc-crm-scale", OTHERS[0], OTHERS[1]], 0..=3).prop_shuffle()
    }

    fn said() -> impl Strategy<Value = Option<String>> {
        prop_oneof![
            3 => Just(None),
            4 => (0_u32..40).prop_map(|target| Some(enforced(target).text())),
            1 => Just(Some("rubbish".to_owned())),
        ]
    }

    proptest! {
        #[test]
        fn the_number_comes_to_what_is_wanted_by_way_of_no_other_number(
            owners in owners(), replicas in 0_u32..40, base in 0_u32..40, most in 1_u32..40, said in said(),
            enforcing in any::<bool>(),
        ) {
            let aim = Aim { base, most, enforced: enforcing };
            let (mut owners, mut number, mut said) = (owners, replicas, said);
            for _ in 0..4 {
                let seen = live(ObjectKind::Deployment, &owners, i64::from(number), said.as_deref());
                let owned = match scale(&aim, &seen, &Scaled::Not) {
                    ScaleChange::None => {
                        prop_assert!(number <= most);
                        let bound = base.min(most);
                        prop_assert!(number == bound || (enforcing && said.is_some() && number > bound));
                        return Ok(());
                    }
                    ScaleChange::Held { replicas: held, .. } => {
                        prop_assert!(!owners.contains(&"oprc-crm-scale"), "{:?}", owners);
                        prop_assert_eq!(held, i64::from(number));
                        return Ok(());
                    }
                    ScaleChange::Unreadable(_) => {
                        prop_assert!(enforcing && said.as_deref() == Some("rubbish"));
                        return Ok(());
                    }
                    // Forced: nobody else is left.
                    ScaleChange::Set(owned) => {
                        owners.clear();
                        owned
                    }
                    ScaleChange::TakeBack(there) => {
                        prop_assert_eq!(there, number);
                        owners.clear();
                        Owned::base(there)
                    }
                    ScaleChange::Agree(owned) => {
                        prop_assert_eq!(owned.replicas, number, "the number that it has");
                        owned
                    }
                    other => {
                        prop_assert!(false, "{:?}", other);
                        return Ok(());
                    }
                };
                prop_assert!(owned.replicas == number || owned.replicas <= most);
                owners.push("oprc-crm-scale");
                (number, said) = (owned.replicas, owned.enforced.map(|one| one.text()));
            }
            prop_assert!(false, "no end");
        }

        #[test]
        fn under_an_autoscaler_the_number_is_never_another(
            owners in owners(), replicas in 0_u32..40, base in 0_u32..40, said in said(), enforced in any::<bool>(),
        ) {
            let seen = live(ObjectKind::Deployment, &owners, i64::from(replicas), said.as_deref());
            let change = scale(&Aim { base, most: u32::MAX, enforced }, &seen, &Scaled::ByOurs);
            let ours = owners.contains(&"oprc-crm-scale");
            match change {
                ScaleChange::None => prop_assert!(said.is_none()),
                ScaleChange::Forget(number) => prop_assert_eq!(number, ours.then_some(replicas)),
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }
}
