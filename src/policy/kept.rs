//! Facts as they are kept: read back from what rules see, to JSON and back to the same facts.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use cel_interpreter::common::types::{CelBool, CelDouble, CelDuration, CelList, CelMap, CelMapKey, CelString};
use cel_interpreter::common::value::{BuiltinRef, Val};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::facts::{self, FactKind, FactValue, Facts};

/// Facts by path, signals aside. What was read of JSON fits the table of facts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<String, Value>")]
pub struct KeptFacts(BTreeMap<String, Value>);

impl KeptFacts {
    /// What is bound.
    pub fn of(facts: &Facts) -> Self {
        // A group that is there has no value of its own.
        let group = || Value::Object(Map::new());
        Self(facts.all().map(|(path, value)| (path.to_owned(), value.map_or_else(group, json))).collect())
    }

    /// The same without the facts below a path.
    #[must_use]
    pub fn without(mut self, root: &str) -> Self {
        let below = |path: &str| path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        self.0.retain(|path, _| !below(path));
        self
    }

    /// Binds them.
    pub fn bind(&self) -> Facts {
        let mut bound = Facts::default();
        for (path, value) in &self.0 {
            match value_of(path, value) {
                Some(Found::Value(value)) => {
                    bound.set(path, value);
                }
                Some(Found::Group) => {
                    bound.set_group(path);
                }
                None => {}
            }
        }
        bound
    }

    /// Their paths and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(path, value)| (path.as_str(), value))
    }
}

impl TryFrom<BTreeMap<String, Value>> for KeptFacts {
    type Error = String;

    fn try_from(values: BTreeMap<String, Value>) -> Result<Self, String> {
        for (path, value) in &values {
            if facts::find(path).is_none() {
                return Err(format!("there is no fact `{path}`"));
            }
            if value_of(path, value).is_none() {
                return Err(format!("`{path}` can't be {value}"));
            }
        }
        Ok(Self(values))
    }
}

/// A value in JSON. What is no finite number has no form there, so it is a word.
fn json(value: &dyn Val) -> Value {
    if let Some(one) = value.downcast_ref::<CelBool>() {
        return (*one.inner()).into();
    }
    if let Some(one) = value.downcast_ref::<CelDouble>() {
        let number = *one.inner();
        return if number.is_finite() { number.into() } else { number.to_string().into() };
    }
    if let Some(one) = value.downcast_ref::<CelString>() {
        return one.inner().into();
    }
    if let Some(one) = value.downcast_ref::<CelDuration>() {
        return one.inner().to_std().ok().and_then(|span| serde_json::to_value(span).ok()).unwrap_or_default();
    }
    if let Some(list) = value.downcast_ref::<CelList<'_>>() {
        return list.inner().iter().map(|item| json(item.as_ref())).collect();
    }
    if let BuiltinRef::Map(map) = value.as_builtin() {
        return Value::Object(entries(map));
    }
    Value::Null
}

fn entries(map: &CelMap<'_>) -> Map<String, Value> {
    let named = map.inner().iter().filter_map(|(key, value)| match key {
        CelMapKey::String(key) => Some((key.inner().to_owned(), json(value.as_ref()))),
        _ => None,
    });
    named.collect()
}

/// What JSON says of a fact.
enum Found {
    Value(FactValue),
    /// A group is there.
    Group,
}

impl Found {
    fn value(self) -> Option<FactValue> {
        if let Self::Value(value) = self { Some(value) } else { None }
    }
}

/// What JSON says of a fact; nothing where it is of another type.
fn value_of(path: &str, value: &Value) -> Option<Found> {
    let texts = |values: &Vec<Value>| values.iter().map(|one| one.as_str().map(str::to_owned)).collect::<Option<_>>();
    let value = match facts::find(path)?.kind {
        FactKind::Bool => FactValue::Bool(value.as_bool()?),
        FactKind::Number => FactValue::Number(number(value)?),
        FactKind::Duration => FactValue::Duration(Duration::deserialize(value).ok()?),
        FactKind::Text => FactValue::Text(value.as_str()?.to_owned()),
        FactKind::Texts => FactValue::Texts(texts(value.as_array()?)?),
        FactKind::TextMap => {
            let pair = |(key, text): (&String, &Value)| Some((key.clone(), text.as_str()?.to_owned()));
            FactValue::TextMap(value.as_object()?.iter().map(pair).collect::<Option<_>>()?)
        }
        FactKind::Groups => {
            let groups = value.as_array()?.iter().map(|one| group(&format!("{path}[]"), one));
            FactValue::Groups(groups.collect::<Option<_>>()?)
        }
        FactKind::Group => return value.as_object().is_some_and(Map::is_empty).then_some(Found::Group),
    };
    Some(Found::Value(value))
}

fn number(value: &Value) -> Option<f64> {
    let word = || value.as_str().and_then(|word| word.parse().ok()).filter(|number: &f64| !number.is_finite());
    value.as_f64().or_else(word)
}

/// The facts of a group; those of a group within have names with a dot.
fn group(path: &str, value: &Value) -> Option<BTreeMap<Cow<'static, str>, FactValue>> {
    let mut facts = BTreeMap::new();
    for (name, value) in value.as_object()? {
        match value.as_object() {
            Some(inner) => {
                for (field, value) in inner {
                    let name = format!("{name}.{field}");
                    let value = value_of(&format!("{path}.{name}"), value)?.value()?;
                    facts.insert(name.into(), value);
                }
            }
            None => {
                facts.insert(name.clone().into(), value_of(&format!("{path}.{name}"), value)?.value()?);
            }
        }
    }
    Some(facts)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn all() -> Facts {
        let mut facts = Facts::default();
        let function: BTreeMap<Cow<'static, str>, FactValue> = [
            ("key", FactValue::Text("f".to_owned())),
            ("port", FactValue::Number(8080.0)),
            ("port_stated", FactValue::Bool(true)),
            ("nfr.max_latency_ms", FactValue::Number(0.1 + 0.2)),
        ]
        .into_iter()
        .map(|(name, value)| (name.into(), value))
        .collect();
        for (path, value) in [
            ("profile", FactValue::Text("edge".to_owned())),
            ("features.hpa", FactValue::Bool(false)),
            ("class.labels", FactValue::TextMap(BTreeMap::from([("a/b".to_owned(), "c".to_owned())]))),
            ("class.addons", FactValue::Texts(vec!["odgm".to_owned(), String::new()])),
            ("class.functions", FactValue::Groups(vec![function, BTreeMap::new()])),
            ("limits.max_replicas", FactValue::Number(f64::INFINITY)),
            ("nfr.availability_pct", FactValue::Number(1.0 / 3.0)),
            ("proposal.since_applied", FactValue::Duration(Duration::new(90, 123_456_789))),
        ] {
            assert!(facts.set(path, value), "{path}");
        }
        assert!(facts.set_group("class.odgm"));
        facts
    }

    #[test]
    fn what_is_kept_and_read_again_is_the_same_to_the_last_bit() {
        let kept = KeptFacts::of(&all());
        let text = serde_json::to_string(&kept).unwrap();
        let read: KeptFacts = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
        let again = KeptFacts::of(&read.bind());
        assert_eq!(serde_json::to_string(&again).unwrap(), text, "bound and read back");
        assert_eq!(kept.iter().count(), 9);
        assert!(text.contains("\"nfr\":{\"max_latency_ms\":0.30000000000000004}"), "{text}");
        assert!(read.bind().has("class.odgm") && !read.bind().has("class.odgm.shard_type"));
    }

    #[test]
    fn what_is_no_fact_or_of_another_type_is_refused_by_its_path() {
        for (text, says) in [
            (r#"{"class.nmae": "x"}"#, "there is no fact `class.nmae`"),
            (r#"{"class.name": 3}"#, "`class.name` can't be 3"),
            (r#"{"features.hpa": "true"}"#, "`features.hpa` can't be"),
            (r#"{"limits.max_replicas": "many"}"#, "`limits.max_replicas` can't be"),
            (r#"{"class.functions": [{"key": 1}]}"#, "`class.functions` can't be"),
            (r#"{"class.functions": [{"no": 1}]}"#, "`class.functions` can't be"),
            (r#"{"class.odgm": {"shard_type": "mst"}}"#, "`class.odgm` can't be"),
        ] {
            let error = serde_json::from_str::<KeptFacts>(text).unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn facts_below_a_path_can_be_left_out() {
        let kept = KeptFacts::of(&all()).without("proposal").without("class.odgm");
        assert!(!kept.iter().any(|(path, _)| path.starts_with("proposal") || path == "class.odgm"));
        assert!(kept.iter().any(|(path, _)| path == "class.labels"));
    }
}
