//! How a change of the policy reaches the classes that run: `rollout` of `bundle.yaml`.

use std::fmt;
use std::time::Duration;

use super::diagnostic::Sink;
use super::fields;
use super::form::{self, Form};
use super::yaml::{Node, Value};

/// Most classes of one unit of time: beyond it there is no pace to speak of.
const MAX_COUNT: u32 = 1_000;

/// How many classes go over in which time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Classes.
    pub count: u32,
    /// In this time, whenever it begins.
    pub per: Duration,
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.per.as_secs() {
            1 => "s",
            60 => "m",
            _ => "h",
        };
        write!(f, "{}/{unit}", self.count)
    }
}

impl Pace {
    /// Reads `10/m`: a number of classes in a second, minute or hour.
    pub fn parse(text: &str) -> Option<Self> {
        let (count, unit) = text.trim().split_once('/')?;
        let per = match unit.trim() {
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            _ => return None,
        };
        let count = count.trim().parse().ok().filter(|count| (1..=MAX_COUNT).contains(count))?;
        Some(Self { count, per: Duration::from_secs(per) })
    }
}

/// How a change that a bundle brings reaches the classes that run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RolloutPolicy {
    /// How fast classes go over.
    pub pace: Pace,
    /// Percentage of the live classes above which a change is held until a revision raises the bound.
    pub hold_above: f64,
    /// Changed classes below which nothing is held, whatever their share.
    pub at_least: u32,
}

impl Default for RolloutPolicy {
    fn default() -> Self {
        Self { pace: Pace { count: 10, per: Duration::from_secs(60) }, hold_above: 20.0, at_least: 5 }
    }
}

/// What a Bundle document says of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RolloutForm {
    pace: Option<Pace>,
    hold_above: Option<f64>,
    at_least: Option<u32>,
}

impl RolloutForm {
    pub(super) fn read(form: &Form<'_>, sink: &mut Sink) -> Self {
        let Some(node) = form.get("rollout") else { return Self::default() };
        let Some(form) = Form::of(node, &fields::ROLLOUT, sink) else { return Self::default() };
        Self {
            pace: form.get("pace").and_then(|node| pace(node, sink)),
            hold_above: form.get("hold_above").and_then(|node| percent(node, sink)),
            at_least: form.get("at_least").and_then(|node| classes(node, sink)),
        }
    }

    /// What holds where several Bundle documents speak: the first that states a field.
    pub(super) fn resolve<'a>(forms: impl Iterator<Item = &'a Self>) -> RolloutPolicy {
        let mut stated = Self::default();
        for form in forms {
            stated.pace = stated.pace.or(form.pace);
            stated.hold_above = stated.hold_above.or(form.hold_above);
            stated.at_least = stated.at_least.or(form.at_least);
        }
        let default = RolloutPolicy::default();
        RolloutPolicy {
            pace: stated.pace.unwrap_or(default.pace),
            hold_above: stated.hold_above.unwrap_or(default.hold_above),
            at_least: stated.at_least.unwrap_or(default.at_least),
        }
    }
}

fn pace(node: &Node, sink: &mut Sink) -> Option<Pace> {
    let text = form::text(node, "pace", sink)?;
    let pace = Pace::parse(&text.text);
    if pace.is_none() {
        let help = format!("write 1 to {MAX_COUNT} classes a second, minute or hour: 1/s, 10/m, 30/h");
        sink.push(text.at.error(format!("{:?} is no pace", text.text)).help(help));
    }
    pace
}

fn percent(node: &Node, sink: &mut Sink) -> Option<f64> {
    let value = match &node.value {
        Value::Number(number) => Some(*number),
        Value::Text(text) => text.trim().strip_suffix('%').and_then(|number| number.trim_end().parse().ok()),
        _ => None,
    };
    let value = value.filter(|percent| (0.0..=100.0).contains(percent));
    if value.is_none() {
        let message = format!("`hold_above` is a share of the live classes, this is {}", node.value.describe());
        sink.push(node.at.error(message).help("write 0% to 100%, such as 20%; 100% never holds"));
    }
    value
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be whole and in range")]
fn classes(node: &Node, sink: &mut Sink) -> Option<u32> {
    if let Value::Number(number) = node.value
        && number.fract() == 0.0
        && (1.0..=100_000.0).contains(&number)
    {
        return Some(number as u32);
    }
    let message = format!("`at_least` is a number of classes, this is {}", node.value.describe());
    sink.push(node.at.error(message).help("write a whole number of 1 or more, such as 5"));
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use super::{Pace, RolloutPolicy};
    use crate::policy::{Bundle, File, Inputs};

    fn rollout(text: &str) -> Result<RolloutPolicy, String> {
        let head = "apiVersion: policy.oaas.io/v1alpha1\nkind: Bundle\nmetadata: {name: own}\n";
        let text = format!("{head}spec: {{extends: builtin, rollout: {text}}}\n");
        let files = [File { name: "bundle.yaml".to_owned(), text }];
        let bundle = Bundle::read(&files, &Bundle::builtin_files()).map_err(|error| error.to_string())?;
        Ok(bundle.compile(&Inputs::default()).unwrap().0.rollout())
    }

    #[test]
    fn what_a_bundle_states_holds_and_the_rest_is_as_shipped() {
        assert_eq!(rollout("{}").unwrap(), RolloutPolicy::default());
        let stated = rollout("{pace: 2/s, hold_above: 12.5%}").unwrap();
        assert_eq!(stated.pace, Pace { count: 2, per: Duration::from_secs(1) });
        assert!((stated.hold_above - 12.5).abs() < 1e-9);
        assert_eq!(stated.at_least, RolloutPolicy::default().at_least);
        assert_eq!(rollout("{hold_above: 50, at_least: 1}").unwrap().at_least, 1);
    }

    #[test]
    fn a_pace_reads_as_it_is_written() {
        for text in ["1/s", "10/m", "1000/h"] {
            assert_eq!(Pace::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_pace_or_share_is_refused_with_what_to_write() {
        for (text, message) in [
            ("{pace: 10}", "`pace` must be a text"),
            ("{pace: 10/d}", "\"10/d\" is no pace"),
            ("{pace: 0/m}", "\"0/m\" is no pace"),
            ("{pace: 1001/m}", "write 1 to 1000 classes"),
            ("{hold_above: 101%}", "`hold_above` is a share"),
            ("{hold_above: lots}", "write 0% to 100%"),
            ("{at_least: 0}", "`at_least` is a number of classes"),
            ("{at_least: 1.5}", "a whole number"),
            ("{hold: 1}", "rollout of a Bundle has no field `hold`"),
        ] {
            let error = rollout(text).unwrap_err();
            assert!(error.contains(message) && error.contains("bundle.yaml:4:"), "{text}: {error}");
        }
    }
}
