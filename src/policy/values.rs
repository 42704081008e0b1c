//! Values of facts, as CEL sees them.

use std::any::Any;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration as Span;

use cel_interpreter::ExecutionError;
use cel_interpreter::common::traits::{Container, Indexer, Iterable, Sizer};
use cel_interpreter::common::types::{
    CelBool, CelDouble, CelDuration, CelList, CelMap, CelMapKey, CelString, MAP_TYPE, Type,
};
use cel_interpreter::common::value::{BuiltinRef, CowVal, StaticVal, Val};

use super::facts::FactKind;
use super::units;

/// A value to be bound.
#[derive(Clone, Debug, PartialEq)]
pub enum FactValue {
    /// A bool.
    Bool(bool),
    /// A double.
    Number(f64),
    /// A length of time.
    Duration(Span),
    /// A string.
    Text(String),
    /// Strings.
    Texts(Vec<String>),
    /// Strings by name.
    TextMap(BTreeMap<String, String>),
    /// Groups, each with its facts by name; a name with a dot is a fact of a group within.
    Groups(Vec<BTreeMap<Cow<'static, str>, FactValue>>),
}

impl FactValue {
    pub(super) fn kind(&self) -> FactKind {
        match self {
            Self::Bool(_) => FactKind::Bool,
            Self::Number(_) => FactKind::Number,
            Self::Duration(_) => FactKind::Duration,
            Self::Text(_) => FactKind::Text,
            Self::Texts(_) => FactKind::Texts,
            Self::TextMap(_) => FactKind::TextMap,
            Self::Groups(_) => FactKind::Groups,
        }
    }

    pub(super) fn into_val(self) -> Box<dyn Val> {
        match self {
            Self::Bool(value) => Box::new(CelBool::from(value)),
            Self::Number(value) => Box::new(CelDouble::from(value)),
            Self::Duration(value) => Box::new(CelDuration::from(units::at_most_ten_years(value))),
            Self::Text(text) => Box::new(CelString::from(text)),
            Self::Texts(texts) => {
                let items: Vec<Box<dyn Val>> = texts.into_iter().map(|text| Self::Text(text).into_val()).collect();
                Box::new(CelList::from(items))
            }
            Self::TextMap(map) => {
                object(map.into_iter().map(|(key, text)| (key.into(), Self::Text(text).into_val())).collect())
            }
            Self::Groups(groups) => {
                let items: Vec<Box<dyn Val>> = groups.into_iter().map(group).collect();
                Box::new(CelList::from(items))
            }
        }
    }
}

type Entries = Vec<(Cow<'static, str>, Box<dyn Val>)>;

/// A map that is shared: a loop takes a copy of each element that it goes through.
#[derive(Clone, Debug)]
struct Group(Arc<CelMap<'static>>);

impl Val for Group {
    fn get_type(&self) -> &Type {
        &MAP_TYPE
    }

    fn cel_type() -> &'static Type {
        &MAP_TYPE
    }

    fn as_container(&self) -> Option<&dyn Container> {
        self.0.as_container()
    }

    fn as_indexer<'b, 'v>(&'b self) -> Option<&'b (dyn Indexer + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn into_indexer<'v>(self: Box<Self>) -> Option<Box<dyn Indexer + 'v>>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn as_iterable<'b, 'v>(&'b self) -> Option<&'b (dyn Iterable + 'v)>
    where
        Self: 'v,
    {
        self.0.as_iterable()
    }

    fn as_sizer(&self) -> Option<&dyn Sizer> {
        self.0.as_sizer()
    }

    fn equals(&self, other: &dyn Val) -> bool {
        self.0.equals(other)
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(self.clone())
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }

    // What tells CEL that this is one of its maps, so that it can be compared and shown like any other.
    fn as_builtin<'b, 'v>(&'b self) -> BuiltinRef<'b, 'v>
    where
        Self: 'v,
    {
        BuiltinRef::Map(&self.0)
    }
}

impl StaticVal for Group {}

impl Indexer for Group {
    fn get<'b, 'v>(&'b self, key: &dyn Val) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        Indexer::get(self.0.as_ref(), key)
    }

    fn steal<'v>(self: Box<Self>, key: &dyn Val) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        Self: 'v,
    {
        Indexer::get(self.0.as_ref(), key).map(CowVal::into_owned)
    }
}

fn object(entries: Entries) -> Box<dyn Val> {
    let map: HashMap<CelMapKey<'static>, Box<dyn Val>> =
        entries.into_iter().map(|(key, value)| (CelMapKey::String(key.into()), value)).collect();
    Box::new(Group(Arc::new(CelMap::from(map))))
}

fn group(facts: BTreeMap<Cow<'static, str>, FactValue>) -> Box<dyn Val> {
    let mut entries = Entries::new();
    // A group within is there even where none of its facts is: only facts may be absent.
    let mut inner: BTreeMap<Cow<'static, str>, Entries> = BTreeMap::from([("nfr".into(), Vec::new())]);
    for (name, value) in facts {
        match split(&name) {
            Some((group, field)) => inner.entry(group).or_default().push((field, value.into_val())),
            None => entries.push((name, value.into_val())),
        }
    }
    entries.extend(inner.into_iter().map(|(name, fields)| (name, object(fields))));
    object(entries)
}

/// Name of a group and of a fact within it.
fn split(name: &Cow<'static, str>) -> Option<(Cow<'static, str>, Cow<'static, str>)> {
    match name {
        Cow::Borrowed(name) => name.split_once('.').map(|(group, field)| (group.into(), field.into())),
        Cow::Owned(name) => {
            name.split_once('.').map(|(group, field)| (group.to_owned().into(), field.to_owned().into()))
        }
    }
}
