//! What a backtest says: a table, JSON, a page.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::{Args, Compiled, Played};
use crate::backtest::{Figures, Gate, Mark, Run, Side};

const PAGE: &str = include_str!("page.html");
/// Where the page has its data.
const DATA: &str = "/*DATA*/null";
/// Most steps that a chart has of one class; more of them are drawn by their highest.
const POINTS: usize = 2000;

/// Everything that was played.
pub(super) struct Report<'a> {
    pub(super) args: &'a Args,
    pub(super) candidate: &'a Compiled,
    pub(super) base: Option<&'a Compiled>,
    pub(super) played: &'a [Played<'a>],
}

impl Report<'_> {
    /// What decided, by the names that a gate uses.
    fn runs<'b>(played: &'b Played<'_>) -> Vec<(&'static str, &'b Run)> {
        let base = played.base.as_ref().map(|base| ("base", base));
        [Some(("candidate", &played.candidate)), base, Some(("hpa", &played.hpa)), Some(("fixed", &played.fixed))]
            .into_iter()
            .flatten()
            .collect()
    }

    /// Figures of all classes together.
    pub(super) fn total(&self) -> Vec<(&'static str, Figures)> {
        let mut total: Vec<(&'static str, Figures)> = Vec::new();
        for (name, run) in self.played.iter().flat_map(Self::runs) {
            match total.iter_mut().find(|(known, _)| *known == name) {
                Some((_, sum)) => *sum = sum.plus(&run.figures),
                None => total.push((name, run.figures)),
            }
        }
        total
    }

    fn title(&self, name: &str) -> String {
        match name {
            "hpa" => format!("HPA at {} %", self.args.assumed.hpa_target),
            "fixed" => "fixed".to_owned(),
            name => name.to_owned(),
        }
    }

    /// A gate that holds, with the figures of which it speaks.
    pub(super) fn of_gate(&self, gate: &Gate) -> String {
        let mut told = Vec::new();
        for (name, figures) in self.total() {
            for ((field, _), value) in Figures::NAMES.iter().zip(figures.values()) {
                let path = format!("{name}.{field}");
                if gate.text().contains(&path) {
                    told.push(format!("{path} is {}", number(value)));
                }
            }
        }
        if told.is_empty() { gate.text().to_owned() } else { format!("{}: {}", gate.text(), told.join(", ")) }
    }

    pub(super) fn text(&self) -> String {
        let mut out = String::new();
        let minutes: i64 = self.played.iter().map(minutes).sum();
        let _ = writeln!(out, "{}, {} of load in all", classes(self.played.len()), span(minutes));
        let _ = writeln!(out, "candidate: revision {} ({})", self.candidate.revision, self.args.bundle);
        if let (Some(base), Some(origin)) = (self.base, &self.args.base) {
            let _ = writeln!(out, "base:      revision {} ({origin})", base.revision);
        }
        let _ = writeln!(out, "assumed:   {}", self.assumed().join(", "));
        for one in self.played {
            for note in &one.demand.notes {
                let _ = writeln!(out, "note:      {}: {note}", one.demand.name);
            }
        }
        out.push('\n');
        self.table(&mut out);
        self.flips(&mut out);
        out
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

    /// Every assumption, as a flag would state it.
    fn assumed(&self) -> Vec<String> {
        let one = &self.args.assumed;
        let time = |length| humantime::format_duration(length).to_string();
        let seconds = |whole: i64| std::time::Duration::from_secs(whole.unsigned_abs());
        let mut all = vec![
            format!("profile {}", self.args.profile.name()),
            format!("cpu-request {}", one.cpu_request),
            format!("pod-cores {}", one.pod_cores.unwrap_or(one.cpu_request)),
            format!("start-up {}", time(one.start_up)),
            format!("patience {}", time(one.patience)),
            format!("replicas {} to {}", one.min_replicas, one.max_replicas),
            format!("interval {}", time(seconds(one.interval))),
            format!("step {}", time(seconds(one.step))),
        ];
        if self.args.unit() == crate::backtest::Unit::Rps {
            all.push(format!("cores-per-rps {}", one.cores_per_rps));
        }
        all
    }

    pub(super) fn json(&self) -> Value {
        let figures = |all: &[(&str, Figures)]| -> Value {
            all.iter().map(|(name, one)| ((*name).to_owned(), json!(one))).collect::<serde_json::Map<_, _>>().into()
        };
        let classes: Vec<Value> = self
            .played
            .iter()
            .map(|one| {
                let of: Vec<(&str, Figures)> =
                    Self::runs(one).into_iter().map(|(name, run)| (name, run.figures)).collect();
                json!({"name": one.demand.name, "notes": one.demand.notes, "figures": figures(&of), "flips": one.flips})
            })
            .collect();
        json!({
            "candidate": self.candidate.revision,
            "base": self.base.map(|base| &base.revision),
            "assumed": self.assumed(),
            "total": figures(&self.total()),
            "classes": classes,
        })
    }

    /// The page, with everything in it.
    pub(super) fn html(&self) -> String {
        let classes: Vec<Value> = self.played.iter().map(|one| self.chart(one)).collect();
        let names: Vec<_> = Figures::NAMES.iter().map(|(name, unit)| json!([name.replace('_', " "), unit])).collect();
        let total: Vec<_> = self.total().iter().map(|(name, one)| json!([self.title(name), one.values()])).collect();
        let data = json!({
            "candidate": format!("{} ({})", self.candidate.revision, self.args.bundle),
            "base": self.base.zip(self.args.base.as_ref()).map(|(base, from)| format!("{} ({from})", base.revision)),
            "assumed": self.assumed(), "names": names, "total": total, "flips": self.flips_by_rule(), "classes": classes,
        });
        // What is inside a script may not end it.
        PAGE.replacen(DATA, &data.to_string().replace('<', "\\u003c"), 1)
    }

    fn chart(&self, played: &Played<'_>) -> Value {
        let runs: Vec<Value> = Self::runs(played)
            .into_iter()
            .map(|(name, run)| {
                let marks: Vec<Value> =
                    run.marks.iter().map(|Mark { at, from, to, by }| json!([at, from, to, by])).collect();
                json!({"name": self.title(name), "figures": run.figures.values(), "marks": marks, "steps": thinned(run)})
            })
            .collect();
        let side = |Side { replicas, by }: &Side| {
            replicas.map_or_else(|| format!("held by {by}"), |to| format!("{} replicas by {by}", number(to)))
        };
        let flips: Vec<Value> =
            played.flips.iter().map(|one| json!([one.at, side(&one.base), side(&one.candidate)])).collect();
        json!({"name": played.demand.name, "notes": played.demand.notes, "runs": runs, "flips": flips})
    }
}

/// Steps of a run, no more than a chart can show: of several the highest demand and the lowest capacity.
fn thinned(run: &Run) -> Vec<Value> {
    let many = run.steps.len().div_ceil(POINTS).max(1);
    let of_chunk = |chunk: &[crate::backtest::Step]| {
        let first = chunk.first()?;
        let demand = chunk.iter().filter_map(|step| step.demand).reduce(f64::max);
        let capacity = chunk.iter().map(|step| step.capacity).fold(f64::INFINITY, f64::min);
        let round = |value: f64| (value * 1000.0).round() / 1000.0;
        Some(json!([first.at, demand.map(round), round(capacity), first.replicas]))
    };
    run.steps.chunks(many).filter_map(of_chunk).collect()
}

fn classes(many: usize) -> String {
    if many == 1 { "1 class".to_owned() } else { format!("{many} classes") }
}

fn minutes(played: &Played<'_>) -> i64 {
    i64::try_from(played.demand.values.len()).unwrap_or(0) * played.demand.step / 60
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
