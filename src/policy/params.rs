//! Params: the bounds and switches of a document, with types, limits and origins.

use std::collections::BTreeMap;

use cel_interpreter::common::types::{CelBool, CelDouble, CelDuration, CelString};
use cel_interpreter::common::value::Val;

use super::Inputs;
use super::cel::{Constant, Known, Range, Type};
use super::diagnostic::{Diagnostic, Sink, nearest};
use super::fields;
use super::form::{self, Form};
use super::units;
use super::yaml::{Node, Place, Text, Value};

/// Type of a param.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ParamType {
    Number,
    Duration,
    Percent,
    Quantity,
    Bool,
    Text,
}

const TYPES: [ParamType; 6] =
    [ParamType::Number, ParamType::Duration, ParamType::Percent, ParamType::Quantity, ParamType::Bool, ParamType::Text];

/// Names of the types.
pub(crate) const TYPE_NAMES: &[&str] = &[
    ParamType::Number.name(),
    ParamType::Duration.name(),
    ParamType::Percent.name(),
    ParamType::Quantity.name(),
    ParamType::Bool.name(),
    ParamType::Text.name(),
];

/// A param's value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ParamValue {
    Number(f64),
    Duration(chrono::Duration),
    Bool(bool),
    Text(String),
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    Default,
    Profile(String),
    Bundle,
    Environment(String),
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Profile(name) => write!(f, "profile {name}"),
            Self::Bundle => f.write_str("bundle.yaml"),
            Self::Environment(name) => f.write_str(name),
        }
    }
}

/// A param as declared.
#[derive(Clone, Debug)]
pub(crate) struct ParamForm {
    pub(crate) name: Text,
    ty: ParamType,
    default: Option<ParamValue>,
    min: Option<ParamValue>,
    max: Option<ParamValue>,
    env: Option<Text>,
    env_seconds: bool,
    why: Option<String>,
    /// Its declaration has a fault, which is reported; its uses are not to be reported as well.
    broken: bool,
    profiles: BTreeMap<String, (ParamValue, Place)>,
}

/// One value of a param.
struct Stated {
    value: ParamValue,
    origin: Origin,
    place: String,
}

/// A param for people: everything that stands about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParamOutline {
    /// Its name.
    pub name: String,
    /// Its type, as it is written.
    pub ty: &'static str,
    /// The value that holds.
    pub stated: ParamStated,
    /// Values that it stands in place of, the next to count first.
    pub replaced: Vec<ParamStated>,
    /// Least value.
    pub min: Option<String>,
    /// Greatest value.
    pub max: Option<String>,
    /// Environment variable that sets it.
    pub env: Option<String>,
    /// The variable counts seconds.
    pub env_seconds: bool,
    /// What it is for.
    pub why: Option<String>,
    /// Where it is declared.
    pub place: String,
}

/// One value of a param, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParamStated {
    /// The value.
    pub value: String,
    /// Where it comes from: a variable's name, `bundle.yaml`, `profile NAME` or `default`.
    pub origin: String,
    /// Where it stands: `file:line:column`, or `environment`.
    pub place: String,
}

/// A param as resolved.
#[derive(Debug)]
pub(crate) struct Param {
    pub(crate) value: Box<dyn Val>,
    pub(crate) origin: Origin,
    /// Of a duration, the longest that it can be set to: its `max`, else its value.
    pub(crate) longest: Option<CelDuration>,
}

impl Param {
    /// Its value, for expressions that are compiled with it.
    pub(crate) fn constant(&self) -> Option<Constant> {
        let value = self.value.as_ref();
        if let Some(number) = value.downcast_ref::<CelDouble>() {
            Some(Constant::Number(*number.inner()))
        } else if let Some(length) = value.downcast_ref::<CelDuration>() {
            Some(Constant::Duration(*length.inner()))
        } else if let Some(flag) = value.downcast_ref::<CelBool>() {
            Some(Constant::Bool(*flag.inner()))
        } else {
            value.downcast_ref::<CelString>().map(|text| Constant::Text(text.inner().to_owned()))
        }
    }
}

impl ParamType {
    const fn name(self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::Duration => "duration",
            Self::Percent => "percent",
            Self::Quantity => "quantity",
            Self::Bool => "bool",
            Self::Text => "string",
        }
    }

    fn usage(self) -> &'static str {
        match self {
            Self::Number => "a number such as 300",
            Self::Duration => "a duration such as 3m or 1h30m",
            Self::Percent => "a percentage such as 30",
            Self::Quantity => "a quantity such as 500m or 1Gi",
            Self::Bool => "true or false",
            Self::Text => "a text",
        }
    }

    fn cel(self) -> Type {
        match self {
            Self::Number | Self::Percent | Self::Quantity => Type::Double,
            Self::Duration => Type::Duration,
            Self::Bool => Type::Bool,
            Self::Text => Type::Text,
        }
    }

    fn of_text(self, text: &str) -> Option<ParamValue> {
        match self {
            Self::Number => finite(text.trim().parse().ok()?),
            Self::Percent => finite(text.trim().trim_end_matches('%').trim_end().parse().ok()?),
            Self::Quantity => units::quantity(text.trim()).map(ParamValue::Number),
            Self::Duration => units::duration(text).map(ParamValue::Duration),
            Self::Bool => match text.trim().to_ascii_lowercase().as_str() {
                "true" | "1" => Some(ParamValue::Bool(true)),
                "false" | "0" => Some(ParamValue::Bool(false)),
                _ => None,
            },
            Self::Text => Some(ParamValue::Text(text.to_owned())),
        }
    }

    fn of_node(self, value: &Value) -> Option<ParamValue> {
        match (self, value) {
            (Self::Number | Self::Percent | Self::Quantity, Value::Number(number)) => finite(*number),
            (Self::Bool, Value::Bool(value)) => Some(ParamValue::Bool(*value)),
            (Self::Number | Self::Bool, _) => None,
            (_, Value::Text(text)) => self.of_text(text),
            _ => None,
        }
    }
}

fn finite(value: f64) -> Option<ParamValue> {
    value.is_finite().then_some(ParamValue::Number(value))
}

impl ParamValue {
    fn size(&self) -> Option<f64> {
        match self {
            Self::Number(value) => Some(*value),
            Self::Duration(value) => Some(value.as_seconds_f64()),
            Self::Bool(_) | Self::Text(_) => None,
        }
    }

    pub(crate) fn into_val(self) -> Box<dyn Val> {
        match self {
            Self::Number(value) => Box::new(CelDouble::from(value)),
            Self::Duration(value) => Box::new(CelDuration::from(value)),
            Self::Bool(value) => Box::new(CelBool::from(value)),
            Self::Text(text) => Box::new(CelString::from(text)),
        }
    }
}

impl std::fmt::Display for ParamValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(value) => f.write_str(&units::number(*value)),
            Self::Duration(value) => write!(f, "{}", humantime::format_duration(value.to_std().unwrap_or_default())),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Text(text) => write!(f, "{text:?}"),
        }
    }
}

/// Reads the declarations of `params` and their values for profiles.
pub(crate) fn read(
    params: &[(Text, Node)],
    profiles: &[(Text, Node)],
    known: &[String],
    sink: &mut Sink,
) -> Vec<ParamForm> {
    let mut forms: Vec<ParamForm> = params
        .iter()
        .map(|(name, node)| declaration(name, node, sink).unwrap_or_else(|| ParamForm::broken(name)))
        .collect();
    for (profile, values) in profiles {
        if !known.contains(&profile.text) {
            let help = format!("profiles: {}", known.join(", "));
            sink.push(profile.at.error(format!("there is no profile {:?}", profile.text)).help(help));
        }
        for (name, node) in form::entries(values, &profile.text, sink) {
            let declared: Vec<String> = forms.iter().map(|form| form.name.text.clone()).collect();
            let Some(form) = forms.iter_mut().find(|form| form.name.text == name.text) else {
                unknown(name, &declared, sink);
                continue;
            };
            if form.broken {
                continue;
            }
            if let Some(value) = form.value(node, sink) {
                form.profiles.insert(profile.text.clone(), (value, node.at.clone()));
            }
        }
    }
    forms
}

/// Variables that a param may name. What a policy reads is shown wherever the policy is, so it reads none of other programs.
const VARIABLES: &str = "OPRC_CRM_";

fn variable(name: Text, sink: &mut Sink) -> Option<Text> {
    let rest = name.text.strip_prefix(VARIABLES).unwrap_or_default();
    let fine = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    if !rest.is_empty() && name.text.len() <= 128 && rest.chars().all(fine) {
        return Some(name);
    }
    let error = name.at.error(format!("a param can't be set by the variable {:?}", name.text));
    let help = format!(
        "name one that is the controller's own: {VARIABLES} and then A-Z, 0-9 and _; its value is shown to all who read the policy"
    );
    sink.push(error.help(help));
    None
}

/// A value for a profile, of a param that is declared elsewhere.
#[derive(Clone, Debug)]
pub(crate) struct ForProfile {
    profile: Text,
    pub(crate) name: Text,
    value: Node,
}

/// Takes out of `profiles` what is said of params that are declared elsewhere.
pub(crate) fn of_others(profiles: &[(Text, Node)], declared: &[(Text, Node)]) -> (Vec<(Text, Node)>, Vec<ForProfile>) {
    let is_own = |name: &Text| declared.iter().any(|(own, _)| own.text == name.text);
    let mut others = Vec::new();
    let split = |(profile, node): &(Text, Node)| {
        let Value::Map(values) = &node.value else { return (profile.clone(), node.clone()) };
        let (own, theirs): (Vec<_>, Vec<_>) = values.iter().cloned().partition(|(name, _)| is_own(name));
        let of_profile = |(name, value)| ForProfile { profile: profile.clone(), name, value };
        others.extend(theirs.into_iter().map(of_profile));
        (profile.clone(), Node { value: Value::Map(own), at: node.at.clone() })
    };
    let own = profiles.iter().map(split).collect();
    (own, others)
}

/// Reports a param that is not declared.
pub(crate) fn unknown(name: &Text, declared: &[String], sink: &mut Sink) {
    let mut error = name.at.error(format!("there is no param `{}`", name.text));
    if let Some(near) = nearest(&name.text, declared.iter().map(String::as_str)) {
        error = error.help(format!("did you mean `{near}`?"));
    }
    sink.push(error);
}

fn declaration(name: &Text, node: &Node, sink: &mut Sink) -> Option<ParamForm> {
    form::check_name(name, "a param", false, sink);
    let form = Form::named(node, &fields::PARAM, &format!("param `{}`", name.text), sink)?;
    let why = form.text("why", sink).map(|why| why.text);
    let stated = form.need_text("type", sink)?;
    let Some(ty) = TYPES.into_iter().find(|ty| ty.name() == stated.text) else {
        let help = format!("types: {}", TYPE_NAMES.join(", "));
        sink.push(stated.at.error(format!("there is no type {:?}", stated.text)).help(help));
        return None;
    };
    let mut param = ParamForm {
        name: name.clone(),
        ty,
        default: None,
        min: None,
        max: None,
        env: form.text("env", sink).and_then(|name| variable(name, sink)),
        env_seconds: false,
        why,
        broken: false,
        profiles: BTreeMap::new(),
    };
    if let Some(unit) = form.text("env_unit", sink) {
        param.env_seconds = unit.text == "s";
        if unit.text != "s" || param.ty != ParamType::Duration || form.get("env").is_none() {
            let help = "leave it out: durations of the environment are then written like 3m";
            sink.push(unit.at.error("env_unit is `s`, beside the `env` of a duration").help(help));
        }
    }
    for bound in ["min", "max"] {
        let Some(node) = form.get(bound) else { continue };
        let value = param.typed(node, sink);
        if value.as_ref().is_some_and(|value| value.size().is_none()) {
            sink.push(node.at.error(format!("{} has no bounds", param.ty.name())));
        }
        if bound == "min" { param.min = value } else { param.max = value }
    }
    if let (Some(min), Some(max), Some(low), Some(high)) = (&param.min, &param.max, form.get("min"), form.get("max"))
        && min.size() > max.size()
    {
        let error = low.at.error(format!("min {min} is above max {max}"));
        sink.push(error.related(high.at.text(), "the max"));
    }
    let default = form.need("default", sink)?;
    param.default = Some(param.value(default, sink)?);
    Some(param)
}

impl ParamForm {
    fn broken(name: &Text) -> Self {
        Self {
            name: name.clone(),
            ty: ParamType::Number,
            default: None,
            min: None,
            max: None,
            env: None,
            env_seconds: false,
            why: None,
            broken: true,
            profiles: BTreeMap::new(),
        }
    }

    /// Takes over a value for a profile from the bundle above.
    pub(crate) fn set_for(&mut self, one: &ForProfile, sink: &mut Sink) {
        if self.broken {
            return;
        }
        if let Some(value) = self.value(&one.value, sink) {
            self.profiles.insert(one.profile.text.clone(), (value, one.value.at.clone()));
        }
    }

    /// Type of its values in expressions.
    pub(crate) fn cel(&self) -> Type {
        if self.broken { Type::Any } else { self.ty.cel() }
    }

    /// What is known of a number before it is resolved.
    pub(crate) fn domain(&self) -> Option<Known> {
        if self.broken || self.ty.cel() != Type::Double {
            return None;
        }
        let bound = |bound: &Option<ParamValue>, none: f64| bound.as_ref().and_then(ParamValue::size).unwrap_or(none);
        let (low, high) = (bound(&self.min, f64::NEG_INFINITY), bound(&self.max, f64::INFINITY));
        Some(Known::Number(Range::between(low, high)))
    }

    /// Reads a value of this param's type.
    fn typed(&self, node: &Node, sink: &mut Sink) -> Option<ParamValue> {
        let value = self.ty.of_node(&node.value);
        if value.is_none() {
            let message = format!("`{}` is {}, this is {}", self.name.text, self.ty.usage(), node.value.describe());
            let error = node.at.error(message);
            sink.push(match (self.ty, &node.value) {
                (ParamType::Duration, Value::Number(number)) => error.help(format!("write {number}s for seconds")),
                _ => error,
            });
        }
        value
    }

    /// Reads a value of this param, within its bounds.
    fn value(&self, node: &Node, sink: &mut Sink) -> Option<ParamValue> {
        let value = self.typed(node, sink)?;
        if let Some(fault) = self.outside(&value) {
            sink.push(node.at.error(format!("`{}`: {fault}", self.name.text)));
            return None;
        }
        Some(value)
    }

    /// Warns of what a param loses that hides a shipped one: it declares less, and nobody would see it.
    pub(crate) fn warn_of_lost(&self, shipped: &Self, sink: &mut Sink) {
        if self.broken || shipped.broken {
            return;
        }
        let mut lost = Vec::new();
        if let Some(env) = &shipped.env
            && self.env.as_ref().is_none_or(|own| own.text != env.text)
        {
            lost.push(format!("its environment variable {}", env.text));
        }
        for (name, theirs, own) in [("min", &shipped.min, &self.min), ("max", &shipped.max, &self.max)] {
            if let (Some(theirs), None) = (theirs, own) {
                lost.push(format!("its {name} {theirs}"));
            }
        }
        let profiles = shipped.profiles.keys().filter(|name| !self.profiles.contains_key(*name));
        lost.extend(profiles.map(|name| format!("its value for profile {name}")));
        if let (false, Some(default)) = (lost.is_empty(), &self.default) {
            let name = &self.name.text;
            let message = format!("`{name}` is declared anew and loses {}", lost.join(", "));
            let help = format!("write `{name}: {default}` to change its value alone, or state these too");
            let warning = self.name.at.error(message).warning();
            sink.push(warning.related(shipped.name.at.text(), "the shipped param").help(help));
        }
    }

    fn outside(&self, value: &ParamValue) -> Option<String> {
        let size = value.size()?;
        let fault = |word: &str, bound: &ParamValue| Some(format!("{value} is {word} {bound}"));
        match (&self.min, &self.max) {
            (Some(min), _) if min.size().is_some_and(|min| size < min) => fault("below its min", min),
            (_, Some(max)) if max.size().is_some_and(|max| size > max) => fault("above its max", max),
            _ => None,
        }
    }

    /// Its values in the order in which they count: environment, then the bundle's override, then the profile's, then
    /// the default.
    fn values(&self, inputs: &Inputs, over: Option<&Node>, sink: &mut Sink) -> Vec<Stated> {
        if self.broken {
            return Vec::new();
        }
        let at = |value, origin, place: &Place| Stated { value, origin, place: place.text() };
        let over = over.and_then(|node| Some(at(self.value(node, sink)?, Origin::Bundle, &node.at)));
        let environment = self.environment(inputs, sink).map(|(value, name)| {
            let place = "environment".to_owned();
            Stated { value, origin: Origin::Environment(name), place }
        });
        let profile = self.profiles.get(&inputs.profile);
        let profile = profile.map(|(value, place)| at(value.clone(), Origin::Profile(inputs.profile.clone()), place));
        let default = self.default.clone().map(|value| at(value, Origin::Default, &self.name.at));
        [environment, over, profile, default].into_iter().flatten().collect()
    }

    /// The value that holds.
    pub(crate) fn resolve(&self, inputs: &Inputs, over: Option<&Node>, sink: &mut Sink) -> Option<Param> {
        let first = self.values(inputs, over, sink).into_iter().next()?;
        let longest = match (&first.value, &self.max) {
            (ParamValue::Duration(_), Some(ParamValue::Duration(longest))) | (ParamValue::Duration(longest), None) => {
                Some(CelDuration::from(*longest))
            }
            _ => None,
        };
        Some(Param { value: first.value.into_val(), origin: first.origin, longest })
    }

    /// The param for people: the value that holds, and all that it stands in place of.
    pub(crate) fn outline(&self, inputs: &Inputs, over: Option<&Node>, sink: &mut Sink) -> Option<ParamOutline> {
        let mut values = self.values(inputs, over, sink).into_iter().map(|stated| ParamStated {
            value: stated.value.to_string(),
            origin: stated.origin.to_string(),
            place: stated.place,
        });
        let shown = |bound: &Option<ParamValue>| bound.as_ref().map(ToString::to_string);
        Some(ParamOutline {
            name: self.name.text.clone(),
            ty: self.ty.name(),
            stated: values.next()?,
            replaced: values.collect(),
            min: shown(&self.min),
            max: shown(&self.max),
            env: self.env.as_ref().map(|name| name.text.clone()),
            env_seconds: self.env_seconds,
            why: self.why.clone(),
            place: self.name.at.text(),
        })
    }

    fn environment(&self, inputs: &Inputs, sink: &mut Sink) -> Option<(ParamValue, String)> {
        let name = &self.env.as_ref()?.text;
        let text = inputs.environment.get(name).filter(|text| !text.trim().is_empty())?;
        let value = if self.env_seconds {
            text.trim().parse().ok().and_then(units::seconds).map(ParamValue::Duration)
        } else {
            self.ty.of_text(text)
        };
        let usage = if self.env_seconds { "a number of seconds such as 180" } else { self.ty.usage() };
        // Many params can follow from one variable: each fault is told once, with all of them.
        let fault = |message: String| {
            let place = self.name.at.text();
            Diagnostic::whole("environment", message).related(place, format!("it sets the param `{}`", self.name.text))
        };
        match &value {
            None => sink.push(fault(format!("{name}={text:?} is not {usage}"))),
            Some(value) => {
                if let Some(outside) = self.outside(value) {
                    let help = "write a value within the bounds, or widen them in a bundle of your own";
                    sink.push(fault(format!("{name}={text:?}: {outside}")).help(help));
                    return None;
                }
            }
        }
        Some((value?, name.clone()))
    }
}
