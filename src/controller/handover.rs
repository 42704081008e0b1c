//! From one workload of a function to another one, as when a template with another kind of workload is chosen: what
//! served goes on serving until the new one does and until the data grid sends its requests there. Pure.

use std::collections::BTreeSet;

use super::workload::workload;
use crate::api::Health;
use crate::cluster::caches::LiveObject;
use crate::model::{ADDON_ODGM, names};
use crate::render::{Component, ObjectKind, Rendered, RenderedObject};

/// How far a hand-over is.
#[derive(Clone, Debug, Default)]
pub struct Handover {
    /// Objects that are no longer rendered and stay for now.
    pub stay: Vec<LiveObject>,
    /// Objects that are no longer rendered and may go.
    pub go: Vec<LiveObject>,
    /// Functions, by label, whose new workload does not serve yet.
    moving: BTreeSet<String>,
}

impl Handover {
    /// Looks at what is no longer rendered; `newest` is the newest state that is known of a rendered object.
    pub fn of(
        leftovers: Vec<LiveObject>,
        rendered: &Rendered,
        newest: impl Fn(&RenderedObject) -> Option<LiveObject>,
    ) -> Self {
        let workloads: Vec<_> = rendered
            .objects
            .iter()
            .filter_map(|object| Some((object, workload(object.kind, newest(object).as_ref())?)))
            .collect();
        let of_function = |label: &str, object: &RenderedObject| matches!(&object.component, Component::Function(key) if names::label_value(key) == label);
        let replaced: BTreeSet<&str> = leftovers
            .iter()
            .filter(|leftover| leftover.kind.serves())
            .filter_map(function_of)
            .filter(|label| workloads.iter().any(|(object, _)| of_function(label, object)))
            .collect();
        let serves = |label: &str| workloads.iter().all(|(object, seen)| !of_function(label, object) || seen.available);
        let moving: BTreeSet<String> =
            replaced.iter().filter(|label| !serves(label)).map(|label| (*label).to_owned()).collect();
        // The grid's pods know the routes since they started.
        let grid = workloads
            .iter()
            .all(|(object, seen)| object.component != Component::Odgm || seen.health == Health::Healthy);
        let replaced: BTreeSet<String> = replaced.into_iter().map(str::to_owned).collect();
        let stays = |leftover: &LiveObject| match function_of(leftover) {
            Some(label) => moving.contains(label) || (replaced.contains(label) && !grid),
            // Functions that still serve still use it.
            None => label(leftover, "component") == Some(ADDON_ODGM) && !moving.is_empty(),
        };
        // An autoscaler scales for as long as its Deployment is there, and goes with it.
        let (scalers, leftovers): (Vec<_>, Vec<_>) =
            leftovers.into_iter().partition(|leftover| leftover.kind == ObjectKind::Autoscaler);
        let (mut stay, mut go): (Vec<LiveObject>, Vec<LiveObject>) = leftovers.into_iter().partition(stays);
        for scaler in scalers {
            let its = |one: &LiveObject| one.kind == ObjectKind::Deployment && one.meta.name == scaler.meta.name;
            if stay.iter().any(its) { stay.push(scaler) } else { go.insert(0, scaler) }
        }
        Self { stay, go, moving }
    }

    /// Whether a change of this object waits: the data grid must not send requests to where nothing serves yet.
    pub fn delays(&self, object: &RenderedObject) -> bool {
        object.component == Component::Odgm && !self.moving.is_empty()
    }

    /// Whether the function's new workload does not serve yet.
    pub fn is_moving(&self, key: &str) -> bool {
        self.moving.contains(&names::label_value(key))
    }

    /// Whether a workload that stays serves in place of the function's new one.
    pub fn serves_instead(&self, key: &str) -> bool {
        let function = names::label_value(key);
        self.stay.iter().any(|old| {
            function_of(old) == Some(&function) && workload(old.kind, Some(old)).is_some_and(|seen| seen.available)
        })
    }

    /// What stays and why, for people.
    pub fn waiting_for(&self) -> Vec<String> {
        let workloads = self.stay.iter().filter(|old| old.kind.is_workload());
        workloads
            .map(|old| {
                let cause = if self.moving.is_empty() { "the data grid's new routes" } else { "what replaces it" };
                format!("{} (then {} goes)", cause, title(old.kind, old.meta.name.as_deref()))
            })
            .collect()
    }
}

/// What people call an object.
pub fn title(kind: ObjectKind, name: Option<&str>) -> String {
    format!("{} {}", kind.title(), name.unwrap_or_default())
}

/// The function that an object belongs to, by its label.
pub(super) fn function_of(object: &LiveObject) -> Option<&str> {
    label(object, "name").filter(|_| label(object, "component") == Some("function"))
}

fn label<'a>(object: &'a LiveObject, name: &str) -> Option<&'a str> {
    object.meta.labels.as_ref()?.get(&format!("app.kubernetes.io/{name}")).map(String::as_str)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::needless_pass_by_value)]
    use serde_json::{Value, json};

    use super::Handover;
    use crate::cluster::caches::LiveObject;
    use crate::render::{Component, ObjectKind, Rendered, RenderedObject};

    fn live(kind: ObjectKind, component: &str, function: &str, status: Value) -> LiveObject {
        let labels = json!({"app.kubernetes.io/component": component, "app.kubernetes.io/name": function});
        let content = json!({
            "metadata": {"name": function, "labels": labels, "generation": 1},
            "spec": {"replicas": 1, "selector": {}, "template": {}}, "status": status,
        });
        LiveObject { kind, meta: serde_json::from_value(content["metadata"].clone()).unwrap(), content }
    }

    fn deployment(component: &str, function: &str, available: bool) -> LiveObject {
        let status = json!({
            "observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": i32::from(available),
            "conditions": [{"type": "Available", "status": if available { "True" } else { "False" }}],
        });
        live(ObjectKind::Deployment, component, function, status)
    }

    fn knative(function: &str, ready: bool) -> LiveObject {
        let ready = if ready { "True" } else { "Unknown" };
        let status = json!({"observedGeneration": 1, "conditions": [{"type": "Ready", "status": ready}]});
        live(ObjectKind::KnativeService, "function", function, status)
    }

    fn rendered(objects: &[(ObjectKind, Component)]) -> Rendered {
        let object = |(kind, component): &(ObjectKind, Component)| RenderedObject {
            kind: *kind,
            name: "x".to_owned(),
            component: component.clone(),
            manifest: Value::Null,
            replicas: None,
        };
        Rendered { objects: objects.iter().map(object).collect(), ..Rendered::default() }
    }

    fn function(key: &str) -> Component {
        Component::Function(key.to_owned())
    }

    fn counts(handover: &Handover) -> (usize, usize) {
        (handover.stay.len(), handover.go.len())
    }

    #[test]
    fn the_old_workload_and_its_service_stay_until_the_new_one_serves() {
        let rendered = rendered(&[(ObjectKind::KnativeService, function("f"))]);
        let old = || vec![deployment("function", "f", true), live(ObjectKind::Service, "function", "f", json!({}))];
        let none = Handover::of(old(), &rendered, |_| None);
        assert_eq!((counts(&none), none.is_moving("f"), none.serves_instead("f")), ((2, 0), true, true));
        let starting = Handover::of(old(), &rendered, |_| Some(knative("f", false)));
        assert_eq!(counts(&starting), (2, 0));
        let ready = Handover::of(old(), &rendered, |_| Some(knative("f", true)));
        assert_eq!((counts(&ready), ready.is_moving("f")), ((0, 2), false));
    }

    #[test]
    fn an_autoscaler_stays_and_goes_with_its_deployment() {
        let scaler = || live(ObjectKind::Autoscaler, "function", "f", json!({}));
        // Its Deployment is rendered still, and not even ready.
        let kept = rendered(&[(ObjectKind::Deployment, function("f"))]);
        let alone = Handover::of(vec![scaler()], &kept, |_| Some(deployment("function", "f", false)));
        assert_eq!((counts(&alone), alone.is_moving("f")), ((0, 1), false));
        // Its Deployment gives way to another workload.
        let moved = rendered(&[(ObjectKind::KnativeService, function("f"))]);
        let old = || vec![deployment("function", "f", true), scaler()];
        assert_eq!(counts(&Handover::of(old(), &moved, |_| None)), (2, 0));
        let ready = Handover::of(old(), &moved, |_| Some(knative("f", true)));
        assert_eq!((counts(&ready), ready.go[0].kind), ((0, 2), ObjectKind::Autoscaler));
    }

    #[test]
    fn a_function_that_is_no_longer_there_goes_at_once() {
        let rendered = rendered(&[(ObjectKind::Deployment, function("g"))]);
        let handover = Handover::of(vec![deployment("function", "f", true)], &rendered, |_| None);
        assert_eq!(counts(&handover), (0, 1));
    }

    #[test]
    fn the_data_grid_waits_for_the_functions_and_then_they_for_it() {
        let rendered = rendered(&[(ObjectKind::Deployment, Component::Odgm), (ObjectKind::Deployment, function("f"))]);
        let look = |serves: bool, grid: bool| {
            Handover::of(vec![knative("f", true)], &rendered, |object| match object.component {
                Component::Odgm => Some(deployment("odgm", "odgm", grid)),
                Component::Function(_) => Some(deployment("function", "f", serves)),
            })
        };
        let starting = look(false, true);
        assert!(starting.delays(&rendered.objects[0]) && !starting.delays(&rendered.objects[1]));
        assert_eq!(counts(&starting), (1, 0));
        let rolling = look(true, false);
        assert!(!rolling.delays(&rendered.objects[0]));
        assert_eq!((counts(&rolling), rolling.is_moving("f")), ((1, 0), false));
        assert!(rolling.waiting_for()[0].contains("data grid"), "{:?}", rolling.waiting_for());
        assert_eq!(counts(&look(true, true)), (0, 1));
    }

    #[test]
    fn what_only_guards_a_workload_goes_at_once_and_moves_no_function() {
        let rendered = rendered(&[(ObjectKind::Deployment, function("f"))]);
        let budget = || vec![live(ObjectKind::PodDisruptionBudget, "function", "f", json!({}))];
        let handover = Handover::of(budget(), &rendered, |_| Some(deployment("function", "f", false)));
        assert_eq!((counts(&handover), handover.is_moving("f")), ((0, 1), false));
    }

    #[test]
    fn what_guards_the_old_workload_goes_with_it() {
        let rendered = rendered(&[(ObjectKind::KnativeService, function("f"))]);
        let old = || {
            vec![deployment("function", "f", true), live(ObjectKind::PodDisruptionBudget, "function", "f", json!({}))]
        };
        assert_eq!(counts(&Handover::of(old(), &rendered, |_| None)), (2, 0));
        assert_eq!(counts(&Handover::of(old(), &rendered, |_| Some(knative("f", true)))), (0, 2));
    }

    #[test]
    fn a_data_grid_that_is_switched_off_stays_while_functions_move() {
        let rendered = rendered(&[(ObjectKind::KnativeService, function("f"))]);
        let old = || vec![deployment("odgm", "odgm", true), deployment("function", "f", true)];
        assert_eq!(counts(&Handover::of(old(), &rendered, |_| None)), (2, 0));
        let alone = Handover::of(vec![deployment("odgm", "odgm", true)], &rendered, |_| None);
        assert_eq!(counts(&alone), (0, 1));
    }
}
