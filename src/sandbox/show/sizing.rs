//! What the NFR loop makes of the load: a line for each function.

use super::row::NOTHING;
use super::style::{Style, Tone};
use super::table::{GAP, INDENT, line};
use super::text::{tame, width};
use crate::analyzer::{ComponentShown, DecisionShown, Whole};
use crate::audit::{Outcome, WhyNot};

const HEADINGS: [&str; 5] = ["FUNCTION", "CPU", "REPLICAS", "ADVICE", "WHAT OF IT"];
/// What the table is about.
const DIMENSION: &str = "replicas";

/// A function, as it is sized.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sizing {
    /// `class/function`.
    pub function: String,
    /// What all its pods use together.
    pub cpu: String,
    /// Replicas that there are to be.
    pub current: String,
    /// Replicas that are recommended.
    pub advice: String,
    /// What became of the recommendation, and why.
    pub what: String,
    tone: Tone,
}

/// The functions that something was decided about, by class.
pub fn sizings(nfr: &Whole) -> Vec<Sizing> {
    let all = nfr.classes.iter().flat_map(|class| class.components.iter().map(|one| (class.name.as_str(), one)));
    all.filter_map(|(class, component)| sizing(class, component)).collect()
}

fn sizing(class: &str, component: &ComponentShown) -> Option<Sizing> {
    let decision = component.decisions.iter().find(|one| one.dimension == DIMENSION)?;
    let cpu = component.signals.get("cpu").map_or_else(|| NOTHING.to_owned(), |cpu| format!("{:.2}", cpu.value));
    let (what, tone) = what(decision);
    Some(Sizing {
        function: tame(&format!("{class}/{}", component.name)),
        cpu,
        current: decision.current.clone(),
        advice: decision.recommended.clone().unwrap_or_else(|| NOTHING.to_owned()),
        what: tame(&what),
        tone,
    })
}

fn what(decision: &DecisionShown) -> (String, Tone) {
    let rule = decision.by.rsplit('/').next().unwrap_or_default();
    let target = decision.target.as_deref().unwrap_or_default();
    match &decision.outcome {
        Outcome::Begun | Outcome::Applied => (format!("applied {target} ({rule}): {}", decision.reason), Tone::Good),
        Outcome::WouldApply { because: WhyNot::Mode } => (format!("only observed: would be {target}"), Tone::Quiet),
        Outcome::WouldApply { .. } => (format!("would be {target}: {}", decision.outcome.text()), Tone::Quiet),
        Outcome::Held if decision.recommended.as_ref().is_none_or(|one| *one == decision.current) => {
            (decision.basis.clone().unwrap_or_else(|| decision.reason.clone()), Tone::Quiet)
        }
        Outcome::Held if rule == "advice" => (decision.reason.clone(), Tone::Quiet),
        Outcome::Held => (format!("held by {rule}: {}", decision.reason), Tone::Busy),
        Outcome::Failed { error } => (format!("failed: {error}"), Tone::Bad),
    }
}

impl Sizing {
    /// The class that the function belongs to.
    pub fn class(&self) -> &str {
        self.function.split('/').next().unwrap_or_default()
    }

    /// Whether there is anything recommended for it.
    pub fn is_recommended(&self) -> bool {
        self.advice != NOTHING
    }

    fn cells(&self) -> [(&str, Tone); 5] {
        [
            (&self.function, Tone::Strong),
            (&self.cpu, Tone::Plain),
            (&self.current, Tone::Plain),
            (&self.advice, Tone::Plain),
            (&self.what, self.tone),
        ]
    }

    /// For where nothing can be drawn again: a line where the advice, or what becomes of it, differs from `before`.
    pub(super) fn change(&self, before: Option<&Self>) -> Option<String> {
        // Which rule holds it and for how long changes with every look: of that only what it comes to is told.
        let told =
            |one: &Self| (one.current.clone(), one.advice.clone(), one.what.split(':').next().map(str::to_owned));
        let news = before.is_none_or(|before| told(before) != told(self));
        let Self { function, current, advice, what, .. } = self;
        let advice = if advice == NOTHING { "nothing" } else { advice };
        news.then(|| format!("{function}  {current} replicas, {advice} recommended: {what}"))
    }
}

/// The lines, none wider than `columns`; a heading first. None where there is nothing to show.
pub(super) fn table(all: &[Sizing], columns: usize, style: Style) -> Vec<String> {
    if all.is_empty() {
        return Vec::new();
    }
    let mut widths = HEADINGS.map(width);
    for (widest, at) in widths.iter_mut().zip(0..) {
        *widest =
            all.iter().filter_map(|one| one.cells().get(at).map(|(text, _)| width(text))).fold(*widest, usize::max);
    }
    // The last columns give way first.
    let mut room = columns.saturating_sub(INDENT.len());
    for width in &mut widths {
        *width = (*width).min(room);
        room = room.saturating_sub(*width + GAP);
    }
    let line = |cells| line(cells, widths, style);
    let heading = line(HEADINGS.map(|heading| (heading, Tone::Quiet)));
    std::iter::once(heading).chain(all.iter().map(|one| line(one.cells()))).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use super::*;

    const STYLE: Style = Style { colours: false };

    fn nfr(decision: &Value) -> Whole {
        serde_json::from_value(json!({"at": null, "classes": [{"namespace": "n", "name": "checkout", "components": [{
            "name": "default", "signals": {"cpu": {"at": "2026-01-01T00:00:00Z", "value": 1.234}},
            "decisions": [decision],
        }]}]}))
        .unwrap()
    }

    fn decision(target: Option<&str>, by: &str, outcome: &Value) -> Value {
        json!({
            "dimension": "replicas", "current": "2", "recommended": "6", "recommended_by": "Recommendation/replicas/cpu-demand",
            "basis": "peak of 1.2 cores", "target": target, "by": by, "reason": "changed 12s ago", "outcome": outcome,
            "revision": "r",
        })
    }

    #[test]
    fn a_line_tells_what_is_measured_what_is_recommended_and_what_becomes_of_it() {
        let held = sizings(&nfr(&decision(None, "Safeguard/replicas/cooldown", &json!({"result": "held"}))));
        assert_eq!(
            table(&held, 100, STYLE),
            [
                "  FUNCTION          CPU   REPLICAS  ADVICE  WHAT OF IT",
                "  checkout/default  1.23  2         6       held by cooldown: changed 12s ago"
            ]
        );
        for (outcome, expected) in [
            (json!({"result": "applied"}), "applied 4 (bounded-change): changed 12s ago"),
            (json!({"result": "would-apply", "because": "mode"}), "only observed: would be 4"),
            (json!({"result": "failed", "error": "409"}), "failed: 409"),
        ] {
            let all = sizings(&nfr(&decision(Some("4"), "Safeguard/replicas/bounded-change", &outcome)));
            assert_eq!(all.first().unwrap().what, expected);
        }
        for columns in 1..80 {
            assert!(table(&held, columns, STYLE).iter().all(|line| width(line) <= columns.max(2)), "{columns}");
        }
    }

    #[test]
    fn a_line_is_printed_where_it_says_something_else_and_not_for_every_sample() {
        let held = sizings(&nfr(&decision(None, "Safeguard/replicas/cooldown", &json!({"result": "held"}))));
        let first = held.first().unwrap();
        assert_eq!(
            first.change(None).unwrap(),
            "checkout/default  2 replicas, 6 recommended: held by cooldown: changed 12s ago"
        );
        let later =
            Sizing { cpu: "1.50".to_owned(), what: "held by cooldown: changed 17s ago".to_owned(), ..first.clone() };
        assert_eq!(later.change(Some(first)), None);
        let other = Sizing { advice: "7".to_owned(), ..first.clone() };
        assert!(other.change(Some(first)).is_some());
    }
}
