//! What a backtest says: a table, JSON, a page.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;

use serde_json::{Map, Value, json};

use super::{Args, Compiled, Guessed, Played, chart};
use crate::backtest::{Figures, Gate, Outcome, Side};

const PAGE: &str = include_str!("page.html");
/// Where the page has its data.
const DATA: &str = "/*DATA*/null";
/// Most classes of which each is told in a line.
const TOLD: usize = 8;

/// Everything that was played.
pub(super) struct Report<'a> {
    pub(super) args: &'a Args,
    pub(super) candidate: &'a Compiled,
    pub(super) base: Option<&'a Compiled>,
    pub(super) played: Vec<Played>,
    pub(super) unplayed: Vec<String>,
    pub(super) gates: Vec<(Gate, Outcome)>,
}

impl Report<'_> {
    /// Figures of each class, by what decided.
    pub(super) fn figures(&self) -> Vec<(&'static str, Vec<&Figures>)> {
        let mut all: Vec<(&'static str, Vec<&Figures>)> = Vec::new();
        for side in self.played.iter().flat_map(|one| &one.sides) {
            match all.iter_mut().find(|(known, _)| *known == side.name) {
                Some((_, figures)) => figures.push(&side.figures),
                None => all.push((side.name, vec![&side.figures])),
            }
        }
        all
    }

    /// Figures of all classes together.
    fn total(&self) -> Vec<(&'static str, Figures)> {
        let sum = |all: Vec<&Figures>| all.into_iter().fold(Figures::default(), |sum, one| sum.plus(one));
        self.figures().into_iter().map(|(name, all)| (name, sum(all))).collect()
    }

    fn title(&self, name: &str) -> String {
        match name {
            "hpa" => format!("HPA at {} %", self.args.assumed.hpa_target),
            "fixed" => "fixed".to_owned(),
            name => name.to_owned(),
        }
    }

    pub(super) fn text(&self) -> String {
        let mut out = String::new();
        let minutes: i64 = self.played.iter().map(|one| one.minutes).sum();
        let _ = writeln!(out, "{}, {} of load in all", classes(self.played.len()), span(minutes));
        for (head, text) in self.head() {
            let _ = writeln!(out, "{:<11} {text}", format!("{head}:"));
        }
        for one in &self.played {
            for note in &one.notes {
                let _ = writeln!(out, "{:<11} {}: {note}", "note:", one.name);
            }
        }
        out.push('\n');
        self.table(&mut out);
        self.flips(&mut out);
        out
    }

    /// What was played, and everything that is assumed.
    fn head(&self) -> Vec<(&'static str, String)> {
        let mut head = vec![("candidate", format!("revision {} ({})", self.candidate.revision, self.args.bundle))];
        if let (Some(base), Some(origin)) = (self.base, &self.args.base) {
            head.push(("base", format!("revision {} ({origin})", base.revision)));
        }
        head.push(("assumed", self.args.assumed().join(", ")));
        head.push(("HPA", self.args.assumed_hpa()));
        head.push(("at first", self.replicas(|guessed| guessed.start)));
        head.push(("fixed", self.replicas(|guessed| guessed.fixed)));
        head.extend(self.unplayed.iter().map(|what| ("not played", what.clone())));
        head
    }

    /// A number of replicas that each class has.
    fn replicas(&self, of: fn(&Guessed) -> f64) -> String {
        let all = || self.played.iter().map(|one| of(&one.guessed));
        let (least, most) = (all().fold(f64::INFINITY, f64::min), all().fold(0.0, f64::max));
        if least >= most {
            return format!("{most} replicas");
        }
        if self.played.len() > TOLD {
            return format!("{least} to {most} replicas, by class");
        }
        let each: Vec<String> = self.played.iter().map(|one| format!("{} {}", one.name, of(&one.guessed))).collect();
        format!("{} replicas", each.join(", "))
    }

    fn table(&self, out: &mut String) {
        let total = self.total();
        let _ = write!(out, "{:<28}", "");
        for (name, _) in &total {
            let _ = write!(out, " {:>14}", self.title(name));
        }
        out.push('\n');
        for (at, (field, unit)) in Figures::NAMES.iter().enumerate() {
            let name = format!(
                "{}{}",
                field.replace('_', " "),
                if unit.is_empty() { String::new() } else { format!(" ({unit})") }
            );
            let _ = write!(out, "{name:<28}");
            for (_, figures) in &total {
                let _ = write!(out, " {:>14}", number(figures.values().get(at).copied().unwrap_or_default()));
            }
            out.push('\n');
        }
    }

    fn flips(&self, out: &mut String) {
        if self.base.is_none() {
            return;
        }
        let by_rule = self.flips_by_rule();
        let count = by_rule.iter().map(|(_, many)| many).sum();
        let _ = writeln!(out, "\n{} otherwise than by the base", super::super::count(count, "decision"));
        for (rule, many) in by_rule {
            let _ = writeln!(out, "  {many:>6}  {rule}");
        }
    }

    /// Which rules decided otherwise than which of the base, and how often; the most frequent first.
    fn flips_by_rule(&self) -> Vec<(String, usize)> {
        let mut by_rule: BTreeMap<String, usize> = BTreeMap::new();
        for flip in self.played.iter().flat_map(|one| &one.flips) {
            let does = if flip.candidate.replicas.is_some() { "changes" } else { "holds" };
            let of_base = if flip.base.replicas.is_some() { "changed" } else { "held" };
            let told = format!("{} {does}, where {} {of_base}", flip.candidate.by, flip.base.by);
            *by_rule.entry(told).or_default() += 1;
        }
        let mut by_rule: Vec<_> = by_rule.into_iter().collect();
        by_rule.sort_by(|(one, many), (other, more)| more.cmp(many).then(one.cmp(other)));
        by_rule
    }

    pub(super) fn json(&self) -> Value {
        let gate = |(gate, outcome): &(Gate, Outcome)| {
            let figures: Map<_, _> = outcome.figures.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
            json!({"condition": gate.text(), "holds": outcome.holds, "figures": figures})
        };
        let class = |one: &Played| {
            let figures = named(one.sides.iter().map(|side| (side.name, &side.figures)));
            let Guessed { start, fixed, .. } = one.guessed;
            let replicas = json!({"start": start, "fixed": fixed});
            json!({"name": one.name, "notes": one.notes, "replicas": replicas, "figures": figures, "flips": one.flips})
        };
        json!({
            "candidate": self.candidate.revision,
            "base": self.base.map(|base| &base.revision),
            "assumed": self.args.assumed_values(),
            "not_played": self.unplayed,
            "total": named(self.total().iter().map(|(name, one)| (*name, one))),
            "gates": self.gates.iter().map(gate).collect::<Vec<_>>(),
            "classes": self.played.iter().map(class).collect::<Vec<_>>(),
        })
    }

    /// The page, with everything in it; one class after the other, so that it is never in memory as a whole.
    pub(super) fn html(&self, out: &mut impl io::Write) -> io::Result<()> {
        let names: Vec<_> = Figures::NAMES.iter().map(|(name, unit)| json!([name.replace('_', " "), unit])).collect();
        let total: Vec<_> = self.total().iter().map(|(name, one)| json!([self.title(name), one.values()])).collect();
        let (before, after) = PAGE.split_once(DATA).unwrap_or((PAGE, ""));
        write!(out, "{before}{{")?;
        for (name, value) in [
            ("head", json!(self.head())),
            ("base", json!(self.base.is_some())),
            ("names", json!(names)),
            ("total", json!(total)),
            ("flips", json!(self.flips_by_rule())),
        ] {
            write!(out, "\"{name}\":{},", inert(&value))?;
        }
        write!(out, "\"classes\":[")?;
        for (index, one) in self.played.iter().enumerate() {
            write!(out, "{}{}", if index == 0 { "" } else { "," }, inert(&self.class(one)))?;
        }
        write!(out, "]}}{after}")
    }

    fn class(&self, played: &Played) -> Value {
        let mut notes = played.notes.clone();
        let mut runs = Vec::new();
        notes.extend(played.sides.first().and_then(|side| side.chart.as_ref()?.coarse()));
        for side in &played.sides {
            let Some(chart) = &side.chart else { continue };
            let (steps, marks) = chart.json();
            let title = self.title(side.name);
            notes.extend(chart.cut().map(|note| format!("{title}: {note}")));
            runs.push(json!({"name": title, "figures": side.figures.values(), "marks": marks, "steps": steps}));
        }
        let side = |Side { replicas, by }: &Side| {
            replicas.map_or_else(|| format!("held by {by}"), |to| format!("{} replicas by {by}", number(to)))
        };
        let drawn = played.flips.iter().take(chart::MARKS);
        let flips: Vec<Value> = drawn.map(|one| json!([one.at, side(&one.base), side(&one.candidate)])).collect();
        notes.extend(chart::not_drawn(played.flips.len(), "decisions otherwise than by the base"));
        json!({"name": played.name, "notes": notes, "runs": runs, "flips": flips})
    }
}

/// As it stands in a script, which nothing inside of it may end.
fn inert(value: &Value) -> String {
    value.to_string().replace('<', "\\u003c")
}

fn named<'a>(figures: impl Iterator<Item = (&'static str, &'a Figures)>) -> Map<String, Value> {
    figures.map(|(name, one)| (name.to_owned(), json!(one))).collect()
}

/// A condition that holds, with the figures that it reads.
pub(super) fn of_gate(gate: &Gate, outcome: &Outcome) -> String {
    // As many digits as tell figures apart that differ.
    let exact = |value: f64| (value * 1e6).round() / 1e6;
    let told: Vec<String> =
        outcome.figures.iter().map(|(name, value)| format!("{name} is {}", exact(*value))).collect();
    format!("{}: {}", gate.text(), told.join(", "))
}

fn classes(many: usize) -> String {
    if many == 1 { "1 class".to_owned() } else { format!("{many} classes") }
}

fn span(minutes: i64) -> String {
    let (days, hours, minutes) = (minutes / 1440, minutes / 60 % 24, minutes % 60);
    let parts = [(days, "d"), (hours, "h"), (minutes, "min")];
    let told: Vec<String> =
        parts.iter().filter(|(many, _)| *many > 0).map(|(many, unit)| format!("{many} {unit}")).collect();
    if told.is_empty() { "less than a minute".to_owned() } else { told.join(" ") }
}

fn number(value: f64) -> String {
    let digits = if value.abs() >= 100.0 || value.fract().abs() < 1e-9 { 0 } else { 2 };
    format!("{value:.digits$}")
}
