//! How many replicas a workload is to have: which field of which object says so, who owns it since when, and what the
//! enforcer wrote beside it. Written by [`Applier::scale`](super::apply::Applier::scale).
//!
//! The field is `spec.minReplicas` of the autoscaler of ours that targets the Deployment, else the Deployment's own
//! `spec.replicas`. [`current`] finds it; [`holder`] tells who gave it its value; [`Enforced::read`] what the enforcer last
//! decided about it.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::autoscalers::Scaler;
use super::caches::{Caches, LiveObject};
use super::ownership::belongs_to;
use super::{MANAGER, MANAGER_SCALE};
use crate::api::{ANNOTATION_ENFORCED, ANNOTATION_HELD};
use crate::model::Class;
use crate::render::ObjectKind;

/// Field manager of Kubernetes' own controllers; through the scale subresource it is the one that autoscalers drive.
const AUTOSCALING: (&str, &str) = ("kube-controller-manager", "scale");

/// What the enforcer decided, as the annotation [`ANNOTATION_ENFORCED`] beside the field tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enforced {
    /// When.
    pub at: Timestamp,
    /// The number.
    pub target: u32,
    /// The rule that recommended it, as `Recommendation/name/id`.
    pub rule: String,
    /// Revision of the policy that decided.
    pub revision: String,
}

/// The annotation is there and does not say what it should: somebody edited it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("annotation {ANNOTATION_ENFORCED} of {object} can't be read: {reason}")]
pub struct Unreadable {
    /// The object, for people.
    pub object: String,
    /// What is wrong.
    pub reason: String,
}

impl Enforced {
    /// What the enforcer wrote on an object; `None` where it wrote nothing, or the reconciler took it back.
    pub fn read(live: &LiveObject) -> Result<Option<Self>, Unreadable> {
        let annotations = live.meta.annotations.as_ref();
        let Some(text) = annotations.and_then(|all| all.get(ANNOTATION_ENFORCED)) else { return Ok(None) };
        serde_json::from_str(text).map(Some).map_err(|error| Unreadable {
            object: format!("{} {}", live.kind.title(), live.meta.name.as_deref().unwrap_or_default()),
            reason: error.to_string(),
        })
    }

    /// The annotation's text.
    pub fn text(&self) -> String {
        // Texts, a number and a time: nothing that could not be written.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// A number that is left as somebody else set it, as the annotation [`ANNOTATION_HELD`] beside the field tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// When it was first seen.
    pub since: Timestamp,
    /// Who set it, for people.
    pub by: String,
    /// Their number.
    pub replicas: i64,
}

impl Hold {
    /// What is noted of the number that stands there; `None` where nothing is, or of another number.
    pub fn read(live: &LiveObject) -> Option<Self> {
        let text = live.meta.annotations.as_ref()?.get(ANNOTATION_HELD)?;
        let hold: Self = serde_json::from_str(text).ok()?;
        (hold.replicas == number(live)).then_some(hold)
    }

    /// The annotation's text.
    pub fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Everything that `oprc-crm-scale` owns of an object. Every apply carries all of it: what is left out is released, and
/// replicas that nobody owns fall to 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owned {
    /// The number.
    pub replicas: u32,
    /// What the enforcer decided, where the number is its own.
    pub enforced: Option<Enforced>,
}

impl Owned {
    /// A number that follows from the record and its template.
    pub fn base(replicas: u32) -> Self {
        Self { replicas, enforced: None }
    }

    /// A number of the enforcer's.
    pub fn enforced(enforced: Enforced) -> Self {
        Self { replicas: enforced.target, enforced: Some(enforced) }
    }
}

/// How far a write of the number goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Not over others' ownership, whatever was written to the object since it was seen: for births alone.
    Lenient,
    /// Not over others' ownership, which is a `FieldConflict` that names them; and only to the object as it was seen, else
    /// `Stale`.
    Seen,
    /// Over others' ownership; only to the object as it was seen. Who uses it publishes an Event.
    Forced,
}

/// Who owns the field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// We do, alone or together with others who agreed to the number.
    Ours,
    /// Nobody: a person scaled to 0, or the API server's default stands there.
    Nobody,
    /// Kubernetes' autoscaling, with an autoscaler or after it.
    Autoscaling,
    /// Somebody else, by the name of the field manager.
    Other(String),
}

impl Holder {
    /// Who gave the field its value, for people; `None` where we did.
    pub fn changed_by(&self) -> Option<&str> {
        match self {
            Self::Ours => None,
            Self::Nobody => Some("somebody unnamed"),
            Self::Autoscaling => Some("a HorizontalPodAutoscaler"),
            Self::Other(name) => Some(name),
        }
    }
}

/// Who owns the field of an object and since when, as its managed fields tell. A manager's time is that of the last change
/// of anything that it owns there: never earlier than that of the field. What came through the scale subresource carries no
/// time, and what nobody owns neither: then it is the time of the [`Hold`], which the reconciler notes where the record lets
/// the enforcer change replicas.
pub fn holder(live: &LiveObject) -> (Holder, Option<Timestamp>) {
    let entries: Vec<&ManagedFieldsEntry> = owning(live).collect();
    let ours = entries.iter().find(|entry| is_ours(entry));
    let noted = || Hold::read(live).map(|hold| hold.since);
    let Some(entry) = ours.or_else(|| entries.first()) else { return (Holder::Nobody, noted()) };
    let since = entry.time.as_ref().map(|time| time.0).or_else(|| noted().filter(|_| ours.is_none()));
    let holder = match (ours, entry.manager.as_deref(), entry.subresource.as_deref()) {
        (Some(_), ..) => Holder::Ours,
        (None, Some(manager), Some(subresource)) if (manager, subresource) == AUTOSCALING => Holder::Autoscaling,
        (None, manager, _) => Holder::Other(manager.unwrap_or_default().to_owned()),
    };
    (holder, since)
}

/// Whether we own the field together with others, who agreed to the number: to change it is to take it from them.
pub fn is_shared(live: &LiveObject) -> bool {
    let (ours, others): (Vec<_>, Vec<_>) = owning(live).partition(|entry| is_ours(entry));
    !ours.is_empty() && !others.is_empty()
}

/// Whether a field manager owns the field.
pub fn owned_by(live: &LiveObject, manager: &str) -> bool {
    owning(live).any(|entry| entry.manager.as_deref() == Some(manager))
}

fn is_ours(entry: &ManagedFieldsEntry) -> bool {
    entry.manager.as_deref().is_some_and(|manager| manager == MANAGER || manager == MANAGER_SCALE)
}

/// The managed fields that name the field.
fn owning(live: &LiveObject) -> impl Iterator<Item = &ManagedFieldsEntry> {
    let path = live.kind.scale_field().map(|field| format!("/f:spec/f:{field}"));
    live.meta.managed_fields.iter().flatten().filter(move |entry| {
        let fields = entry.fields_v1.as_ref();
        path.as_ref().zip(fields).is_some_and(|(path, fields)| fields.0.pointer(path).is_some())
    })
}

/// The number that stands in the field. The API server writes 1 where nobody says one.
pub fn number(live: &LiveObject) -> i64 {
    let field = live.kind.scale_field().and_then(|field| live.content.get("spec")?.get(field));
    field.and_then(Value::as_i64).unwrap_or(1)
}

/// How a workload stands: the facts `current` of the policy, and the object to write to.
#[derive(Clone, Debug)]
pub struct Current {
    /// The object whose field says how many replicas there are to be, as it was seen. `None` where that is not ours to say:
    /// an autoscaler of somebody else's scales the workload.
    pub field: Option<LiveObject>,
    /// The number in that field; of somebody else's autoscaler its minimum.
    pub replicas: u32,
    /// Pods that are ready.
    pub ready_replicas: u32,
    /// The autoscaler that targets the workload.
    pub hpa: Option<Scaler>,
}

/// How a workload of a class stands, from the caches; `None` where there is no such Deployment of the class.
pub fn current(caches: &Caches, class: &Class, workload: &str) -> Option<Current> {
    let ours = |live: &LiveObject| belongs_to(&live.meta, &class.uid, class.names.class());
    let deployment = caches.get(ObjectKind::Deployment, &class.namespace, workload).filter(ours)?;
    let ready = deployment.content.pointer("/status/readyReplicas").and_then(Value::as_u64).unwrap_or(0);
    let ready_replicas = u32::try_from(ready).unwrap_or(u32::MAX);
    let mut scalers = caches.scalers(&class.namespace, workload);
    let foreign = scalers.iter().position(|one| !belongs_to(&one.meta, &class.uid, class.names.class()));
    let hpa = match foreign {
        Some(index) => Some(scalers.swap_remove(index)),
        None => scalers.pop(),
    };
    let field = match &hpa {
        None => Some(deployment),
        Some(_) if foreign.is_some() => None,
        Some(scaler) => caches.get(ObjectKind::Autoscaler, &class.namespace, scaler.name()).filter(ours),
    };
    let least = hpa.as_ref().map_or(1, |scaler| scaler.min_replicas);
    let replicas = field.as_ref().map_or(least, |field| u32::try_from(number(field)).unwrap_or(0));
    Some(Current { field, replicas, ready_replicas, hpa })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::needless_pass_by_value)]
    use serde_json::{Value, json};

    use super::{Enforced, Holder, LiveObject, holder, number};
    use crate::render::ObjectKind;

    fn live(kind: ObjectKind, metadata: Value, spec: Value) -> LiveObject {
        let content = json!({"metadata": metadata, "spec": spec});
        LiveObject { kind, meta: serde_json::from_value(content["metadata"].clone()).unwrap(), content }
    }

    fn owned(kind: ObjectKind, managers: &[(&str, &str)]) -> LiveObject {
        let field = format!("f:{}", kind.scale_field().unwrap());
        let entry = |(number, (manager, subresource)): (usize, &(&str, &str))| {
            json!({
                "manager": manager, "subresource": subresource, "operation": "Update", "time": format!("2026-01-01T00:00:0{number}Z"),
                "fieldsV1": {"f:spec": {&field: {}}},
            })
        };
        let entries: Vec<Value> = managers.iter().enumerate().map(entry).collect();
        live(kind, json!({"name": "a", "managedFields": entries}), json!({}))
    }

    #[test]
    fn the_holder_is_whoever_owns_the_field_and_we_where_it_is_shared() {
        let of = |managers: &[(&str, &str)]| holder(&owned(ObjectKind::Deployment, managers)).0;
        assert_eq!(of(&[]), Holder::Nobody);
        assert_eq!(of(&[("kubectl", "scale")]), Holder::Other("kubectl".to_owned()));
        assert_eq!(of(&[("kubectl", "scale"), ("oprc-crm-scale", "")]), Holder::Ours);
        assert_eq!(of(&[("kube-controller-manager", "scale")]), Holder::Autoscaling);
        // Not by way of the scale subresource: something else of the cluster's own.
        assert_eq!(of(&[("kube-controller-manager", "")]), Holder::Other("kube-controller-manager".to_owned()));
    }

    #[test]
    fn the_time_is_the_holders() {
        let (_, since) = holder(&owned(ObjectKind::Autoscaler, &[("kubectl", ""), ("oprc-crm-scale", "")]));
        assert_eq!(since.unwrap().to_string(), "2026-01-01T00:00:01Z");
        assert_eq!(holder(&owned(ObjectKind::Autoscaler, &[])).1, None);
        assert_eq!(holder(&owned(ObjectKind::Deployment, &[("x", "")])).0.changed_by(), Some("x"));
        assert_eq!(holder(&owned(ObjectKind::Deployment, &[("oprc-crm", "")])).0.changed_by(), None);
    }

    #[test]
    fn each_kind_has_its_own_field() {
        assert_eq!(number(&live(ObjectKind::Deployment, json!({}), json!({"replicas": 0, "minReplicas": 3}))), 0);
        assert_eq!(number(&live(ObjectKind::Autoscaler, json!({}), json!({"replicas": 9, "minReplicas": 3}))), 3);
        assert_eq!(number(&live(ObjectKind::Autoscaler, json!({}), json!({}))), 1);
    }

    #[test]
    fn what_the_enforcer_writes_is_what_is_read() {
        let enforced = Enforced {
            at: "2026-01-01T00:00:00Z".parse().unwrap(),
            target: 6,
            rule: "Recommendation/replicas/cpu-demand".to_owned(),
            revision: "abc".to_owned(),
        };
        let text = enforced.text();
        assert_eq!(
            text,
            r#"{"at":"2026-01-01T00:00:00Z","target":6,"rule":"Recommendation/replicas/cpu-demand","revision":"abc"}"#
        );
        let with = |text: &str| {
            live(ObjectKind::Deployment, json!({"name": "a", "annotations": {"oaas.io/enforced": text}}), json!({}))
        };
        assert_eq!(Enforced::read(&with(&text)), Ok(Some(enforced)));
        assert_eq!(Enforced::read(&live(ObjectKind::Deployment, json!({}), json!({}))), Ok(None));
        let error = Enforced::read(&with("six")).unwrap_err().to_string();
        assert!(error.contains("oaas.io/enforced of Deployment a"), "{error}");
    }
}
