//! Which component a pod belongs to: by its labels while it is there, by its name when it is gone.

use std::collections::HashMap;
use std::ops::RangeInclusive;

/// A component as measurements know it: a workload in its namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ComponentKey {
    /// Namespace.
    pub namespace: String,
    /// Name of the Deployment or Knative Service.
    pub workload: String,
}

impl ComponentKey {
    /// A key.
    pub fn new(namespace: &str, workload: &str) -> Self {
        Self { namespace: namespace.to_owned(), workload: workload.to_owned() }
    }
}

/// A pod as it was last seen. All times are milliseconds since the epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Name of its workload, by its label.
    pub workload: String,
    /// Since when it is ready, where it is.
    pub ready_since: Option<i64>,
    /// It is on its way out.
    pub ending: bool,
}

#[derive(Clone, Debug)]
struct Known {
    component: ComponentKey,
    ready_since: Option<i64>,
    /// When it was last seen well, where it no longer is: after that it may have no samples.
    gone: Option<i64>,
}

/// The pods that are there, and those that were until a while ago: a roll-out must not erase what its old pods used.
#[derive(Clone, Debug, Default)]
pub struct Pods {
    known: HashMap<(String, String), Known>,
    updated: Option<i64>,
    /// From when on each pod of ours is among the known ones; a pod that was measured since and is not is somebody else's.
    complete: Option<i64>,
}

/// Digits of the number of a Knative Revision.
const REVISION_DIGITS: usize = 5;
/// What a ReplicaSet's hash is written with: the ten digits of a number, put into Kubernetes' safe letters. So the minute
/// that a CronJob names its Jobs by is none: it begins with a 2 until 2027 and with a 3 until 2046.
const HASH: &[u8] = b"456789bcdf";
/// Characters of such a hash. It stands for a number below 2^32: one in 40,000 is shorter, and then not known by name.
const HASH_LENGTH: RangeInclusive<usize> = 6..=10;
/// What Kubernetes writes generated suffixes with.
const SUFFIX: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
/// Characters of a pod's own suffix.
const SUFFIX_LENGTH: usize = 5;

impl Pods {
    /// Takes over what is there `now`; forgets what was gone before `oldest`. Nothing was seen later than `now`: what says
    /// so was seen by a clock that was ahead.
    pub fn update(&mut self, there: impl IntoIterator<Item = Pod>, now: i64, oldest: i64) {
        let mut before = std::mem::take(&mut self.known);
        let last_seen = self.updated.replace(now).unwrap_or(now).min(now);
        self.complete = Some(self.complete.unwrap_or(now).min(now).max(oldest));
        for pod in there {
            let Pod { namespace, name, workload, ready_since, ending } = pod;
            let component = ComponentKey { namespace: namespace.clone(), workload };
            let id = (namespace, name);
            let was_gone = before.remove(&id).and_then(|known| known.gone);
            let gone = ending.then(|| was_gone.unwrap_or(last_seen).min(now));
            self.known.insert(id, Known { component, ready_since, gone });
        }
        for (id, mut known) in before {
            let gone = known.gone.unwrap_or(last_seen).min(now);
            known.gone = Some(gone);
            if gone >= oldest {
                self.known.insert(id, known);
            }
        }
    }

    /// The component of a pod: the one that its labels named, else the one that its name fits, of those that
    /// `is_known`. By name only what was measured before all pods of ours were known: what is there now and not among
    /// them only has a name like theirs.
    pub(super) fn component(
        &self,
        namespace: &str,
        pod: &str,
        is_known: impl Fn(&ComponentKey) -> bool,
    ) -> Option<Belonging> {
        let id = (namespace.to_owned(), pod.to_owned());
        if let Some(known) = self.known.get(&id) {
            return Some(Belonging { component: known.component.clone(), before: i64::MAX })
                .filter(|found| is_known(&found.component));
        }
        let before = self.complete.unwrap_or(i64::MAX);
        let workload = of_pod(pod)?;
        let as_deployment = ComponentKey::new(namespace, workload);
        if is_known(&as_deployment) {
            return Some(Belonging { component: as_deployment, before });
        }
        let revision = workload.strip_suffix("-deployment")?;
        let component = Some(ComponentKey::new(namespace, of_revision(revision)?)).filter(is_known)?;
        Some(Belonging { component, before })
    }

    /// When which pods of every component must have samples: once they are ready for `grace`, and until they go.
    pub(super) fn presences(&self, grace: i64) -> HashMap<&ComponentKey, Vec<Presence<'_>>> {
        let mut all: HashMap<&ComponentKey, Vec<Presence<'_>>> = HashMap::new();
        for ((_, name), known) in &self.known {
            let Some(since) = known.ready_since else { continue };
            let presence = Presence { name, from: since.saturating_add(grace), until: known.gone.unwrap_or(i64::MAX) };
            all.entry(&known.component).or_default().push(presence);
        }
        all
    }
}

/// Whose a pod is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Belonging {
    pub(super) component: ComponentKey,
    /// Only what was measured before this moment is that component's.
    pub(super) before: i64,
}

/// A stretch of time in which a pod must have samples; both ends are part of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Presence<'a> {
    pub(super) name: &'a str,
    from: i64,
    until: i64,
}

impl Presence<'_> {
    /// Whether there must be a sample at a moment.
    pub(super) fn covers(&self, at: i64) -> bool {
        self.from <= at && at <= self.until
    }
}

/// The workload of a pod of a Deployment: its name without the two generated suffixes, `<name>-<hash>-<suffix>`. Pods of
/// StatefulSets, DaemonSets and Jobs have none or other ones.
fn of_pod(pod: &str) -> Option<&str> {
    let (rest, suffix) = pod.rsplit_once('-')?;
    let (workload, hash) = rest.rsplit_once('-')?;
    let of = |text: &str, alphabet: &[u8]| text.bytes().all(|b| alphabet.contains(&b));
    let generated =
        suffix.len() == SUFFIX_LENGTH && of(suffix, SUFFIX) && HASH_LENGTH.contains(&hash.len()) && of(hash, HASH);
    (generated && !workload.is_empty()).then_some(workload)
}

/// The Knative Service of a Revision.
pub(super) fn of_revision(revision: &str) -> Option<&str> {
    let (service, number) = revision.rsplit_once('-')?;
    (number.len() >= REVISION_DIGITS && number.bytes().all(|b| b.is_ascii_digit())).then_some(service)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn pod(name: &str, workload: &str, ready_since: Option<i64>) -> Pod {
        let (namespace, name, workload) = ("n".to_owned(), name.to_owned(), workload.to_owned());
        Pod { namespace, name, workload, ready_since, ending: false }
    }

    fn known(names: &'static [&'static str]) -> impl Fn(&ComponentKey) -> bool {
        move |key| key.namespace == "n" && names.contains(&key.workload.as_str())
    }

    #[test]
    fn a_pod_that_is_there_belongs_to_what_its_labels_say() {
        let mut pods = Pods::default();
        pods.update([pod("shop-cart-5d9c45-x2x4z", "shop", None)], 0, 0);
        let found = pods.component("n", "shop-cart-5d9c45-x2x4z", known(&["shop", "shop-cart"]));
        assert_eq!(found, Some(Belonging { component: ComponentKey::new("n", "shop"), before: i64::MAX }));
    }

    #[test]
    fn a_name_says_whose_a_pod_was_only_until_all_pods_are_known() {
        let mut pods = Pods::default();
        let before = |pods: &Pods| pods.component("n", "shop-5d9c45-x2x4z", known(&["shop"])).map(|found| found.before);
        assert_eq!(before(&pods), Some(i64::MAX));
        pods.update([], 1000, 400);
        pods.update([], 1100, 500);
        assert_eq!(before(&pods), Some(1000), "what is measured later and not among the known is a stranger's");
        // What was gone by then is forgotten: it may have been ours.
        pods.update([], 2000, 1400);
        assert_eq!(before(&pods), Some(1400));
    }

    #[test]
    fn siblings_whose_names_share_a_prefix_never_mix() {
        let pods = Pods::default();
        let all = known(&["shop", "shop-cart", "shop-cart-v2", "s"]);
        for (name, workload) in [
            ("shop-5d9c45-x2x4z", Some("shop")),
            ("shop-cart-5d9c45-x2x4z", Some("shop-cart")),
            ("shop-cart-v2-5d9c45-x2x4z", Some("shop-cart-v2")),
            ("shop-cart-v3-5d9c45-x2x4z", None),
            ("shop-cart-00002-deployment-5d9c45-x2x4z", Some("shop-cart")),
            ("shop-00001-deployment-5d9c45-x2x4z", Some("shop")),
            ("shop-1-deployment-5d9c45-x2x4z", None),
            ("shopping-5d9c45-x2x4z", None),
            ("shop", None),
            ("shop-x", None),
            ("-5d9c45-x2x4z", None),
            ("shop-66b6c48dd5-x2x4z", Some("shop")),
            // Those of other kinds: StatefulSets, DaemonSets, a CronJob, a Job, and what is no generated suffix.
            ("shop-db-0", None),
            ("shop-mysql-0", None),
            ("shop-pg-1", None),
            ("shop-gw-x2x4z", None),
            ("shop-28012345-x2x4z", None),
            ("shop-29448456-x2x4z", None),
            ("shop-x2x4z", None),
            ("shop-66b6c48dd5-0", None),
            ("shop-66b6c48dd5-x2x4", None),
            ("shop-66b6c48dd5-abcde", None),
            ("shop-66b6c48dd54-x2x4z", None),
            ("shop-66b6c-x2x4z", None),
            ("shop-mysqlx-x2x4z", None),
        ] {
            let found = pods.component("n", name, &all).map(|found| found.component.workload);
            assert_eq!(found.as_deref(), workload, "{name}");
        }
        assert_eq!(pods.component("m", "shop-5d9c45-x2x4z", &all), None);
    }

    #[test]
    fn a_pod_that_is_gone_keeps_its_place_until_it_is_forgotten() {
        let mut pods = Pods::default();
        pods.update([pod("odd-name", "shop", Some(0))], 100, 0);
        pods.update([], 200, 0);
        assert!(pods.component("n", "odd-name", known(&["shop"])).is_some());
        pods.update([], 300, 100);
        assert!(pods.component("n", "odd-name", known(&["shop"])).is_some());
        pods.update([], 400, 101);
        assert!(pods.component("n", "odd-name", known(&["shop"])).is_none());
    }

    #[test]
    fn after_a_clock_that_was_ahead_nothing_is_expected_of_pods_that_are_gone() {
        let mut pods = Pods::default();
        pods.update([pod("a", "shop", Some(0))], 9000, 0);
        pods.update([pod("a", "shop", Some(0))], 9100, 0);
        pods.update([], 9200, 0);
        pods.update([], 1000, 0);
        let presences = pods.presences(0);
        let a = presences.get(&ComponentKey::new("n", "shop")).and_then(|all| all.first()).unwrap();
        assert!(a.covers(1000) && !a.covers(1001));
        let found = pods.component("n", "shop-5d9c45-x2x4z", known(&["shop"])).unwrap();
        assert_eq!(found.before, 1000);
    }

    #[test]
    fn samples_are_expected_of_pods_that_are_ready_for_a_while_and_not_gone() {
        let mut pods = Pods::default();
        pods.update([pod("a", "shop", Some(1000)), pod("b", "shop", None), pod("c", "shop", Some(5000))], 6000, 0);
        let key = ComponentKey::new("n", "shop");
        let names = |pods: &Pods, at| {
            let all = pods.presences(1000).remove(&key).unwrap_or_default();
            let mut names: Vec<_> = all.iter().filter(|one| one.covers(at)).map(|one| one.name.to_owned()).collect();
            names.sort();
            names
        };
        assert_eq!(
            (names(&pods, 1999), names(&pods, 2000), names(&pods, 6000)),
            (vec![], vec!["a".to_owned()], vec!["a".to_owned(), "c".to_owned()])
        );
        pods.update([pod("c", "shop", Some(5000))], 7000, 0);
        // It was last seen well at 6000: later it may have gone at any time.
        assert_eq!((names(&pods, 6000).len(), names(&pods, 6001)), (2, vec!["c".to_owned()]));
        let ending = Pod { ending: true, ..pod("c", "shop", Some(5000)) };
        pods.update([ending], 8000, 0);
        assert!(names(&pods, 7001).is_empty() && names(&pods, 7000) == ["c"]);
    }
}
