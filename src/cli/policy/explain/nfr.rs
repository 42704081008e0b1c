//! Explains what is recommended for a component and what is done with it, on given facts and samples.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use crate::cli::records;
use crate::decision::nfr::{Action, NfrDecision, WindowTrace, json_of_rules, recommend, size_text};
use crate::decision::play::{Of, Play, samples};
use crate::decision::{RuleOutcome, RuleTrace};
use crate::policy::{
    Bundle, Dimension, Policy, RecommendationPolicy, Recommended, SafeguardPolicy, Scene, SignalPolicy, Unit,
};

use super::{Format, Text, clip};

/// What is to be explained on given facts and samples.
#[derive(clap::Args)]
pub(super) struct Sizes {
    /// Signal, Recommendation or Safeguard to explain, such as Safeguard/replicas, on what --given says. With --record
    /// the class is the record's.
    #[arg(long, value_name = "KIND/NAME", requires = "given")]
    target: Option<String>,
    /// File with the `given`, `now`, `step`, `series` and `changes` of a Test; - is the standard input.
    #[arg(long, value_name = "FILE", requires = "target")]
    given: Option<String>,
    /// When, from the start, such as 5m; until then what is decided is done. Without it at the last sample.
    #[arg(long, value_name = "TIME", requires = "target", value_parser = humantime::parse_duration)]
    at: Option<Duration>,
}

/// What is asked, whole.
pub(super) struct Asked<'a> {
    target: &'a str,
    given: &'a str,
    at: Option<Duration>,
}

impl Sizes {
    pub(super) fn asked(&self) -> Option<Asked<'_>> {
        Some(Asked { target: self.target.as_deref()?, given: self.given.as_deref()?, at: self.at })
    }
}

/// A document that is asked.
enum Document<'a> {
    Signal(&'a SignalPolicy),
    Recommendation(&'a RecommendationPolicy),
    Safeguard(&'a SafeguardPolicy),
}

fn document<'a>(policy: &'a Policy, target: &str) -> Result<Document<'a>, String> {
    let signal = policy.signals().iter().find(|one| one.unit().name() == target).map(Document::Signal);
    let recommendations = &mut policy.recommendations().iter();
    let recommendation = || recommendations.find(|one| one.unit().name() == target).map(Document::Recommendation);
    let safeguard = || policy.safeguards().iter().find(|one| one.unit().name() == target).map(Document::Safeguard);
    signal.or_else(recommendation).or_else(safeguard).ok_or_else(|| {
        let signals = policy.signals().iter().map(SignalPolicy::unit);
        let others = policy.recommendations().iter().map(RecommendationPolicy::unit);
        let units = signals.chain(others).chain(policy.safeguards().iter().map(SafeguardPolicy::unit));
        let names: Vec<&str> = units.map(Unit::name).collect();
        format!("--target {target}: the bundle has no such document; choose one of {}", names.join(", "))
    })
}

/// Explains a document.
pub(super) fn explain(
    asked: &Asked<'_>,
    bundle: &Bundle,
    of: Option<Of<'_>>,
    form: (Format, bool),
) -> Result<String, String> {
    let text = records::read(asked.given)?;
    let scene = Scene::read(asked.given, &text).map_err(|found| found.to_string())?;
    let profile = match (scene.given.profile(), of) {
        (None, Some(of)) => of.setting.profile.as_str(),
        _ => scene.profile(),
    };
    let policy = bundle.compile_given(profile, asked.target, &scene.given).map_err(|found| found.to_string())?;
    let at = asked.at.unwrap_or_else(|| scene.timeline.length());
    if at > scene.timeline.length() {
        let end = humantime::format_duration(scene.timeline.length());
        return Err(format!("--at {}: the last sample is at {end}", humantime::format_duration(at)));
    }
    let head = Head { target: asked.target, profile, policy: &policy, at, scene: &scene };
    match document(&policy, asked.target)? {
        Document::Signal(signal) => Ok(head.signal(signal, of, form)),
        Document::Recommendation(recommendation) => head.recommendation(recommendation, of, form),
        Document::Safeguard(safeguard) => head.safeguard(safeguard, of, form),
    }
}

/// What every answer begins with.
struct Head<'a> {
    target: &'a str,
    profile: &'a str,
    policy: &'a Policy,
    at: Duration,
    scene: &'a Scene,
}

impl Head<'_> {
    fn json(&self) -> Value {
        let now = self.scene.timeline.start().checked_add(self.at).unwrap_or(self.scene.timeline.start());
        json!({
            "target": self.target, "profile": self.profile, "revision": self.policy.revision(),
            "at": humantime::format_duration(self.at).to_string(), "time": now.to_string(),
        })
    }

    fn text(&self, text: &Text) -> String {
        let head = |name: &str| text.paint("1", &format!("{name:<11}"));
        let at = humantime::format_duration(self.at);
        let now = self.scene.timeline.start().checked_add(self.at).unwrap_or(self.scene.timeline.start());
        format!(
            "{}{}, profile {}\n{}revision {}\n{}{at} from the start, {now}\n",
            head("target"),
            self.target,
            self.profile,
            head("policy"),
            self.policy.revision(),
            head("time"),
        )
    }

    fn signal(&self, signal: &SignalPolicy, of: Option<Of<'_>>, (format, colour): (Format, bool)) -> String {
        let facts = Play::facts_of(&self.scene.given, self.profile, of);
        let required = signal.required(&facts);
        if format == Format::Json {
            let (required, error) = match required {
                Ok(required) => (Some(required), None),
                Err(reason) => (None, Some(reason)),
            };
            return with(self.json(), json!({"required": required, "error": error}));
        }
        let text = Text { colour };
        let answer = match required {
            Ok(true) => text.paint("1", "required: without it nothing of the class shrinks"),
            Ok(false) => text.paint("1", "not required: rules that read it do not apply while it has no data"),
            Err(reason) => format!("{} ({reason}), so it counts as required", text.paint("31", "not known")),
        };
        format!("{}{}{answer}\n", self.text(&text), text.paint("1", &format!("{:<11}", "signal")))
    }

    fn recommendation(
        &self,
        recommendation: &RecommendationPolicy,
        of: Option<Of<'_>>,
        (format, colour): (Format, bool),
    ) -> Result<String, String> {
        let samples = samples(self.policy, &self.scene.timeline)?;
        let mut facts = Play::facts_of(&self.scene.given, self.profile, of).explained();
        let now = self.scene.timeline.start().checked_add(self.at).map_err(|error| error.to_string())?;
        let said = recommend(self.policy, &mut facts, recommendation, &samples, now);
        if format == Format::Json {
            let proposal = said.proposal.as_ref().map(
                |one| json!({"target": one.target, "confidence": one.confidence, "basis": one.basis, "rule": one.rule}),
            );
            let error = said.error.as_ref().map(|(rule, reason)| json!({"rule": rule, "reason": reason}));
            let rules = json_of_rules(&said.trace);
            return Ok(with(self.json(), json!({"proposal": proposal, "error": error, "rules": rules})));
        }
        let text = Text { colour };
        let mut out = self.text(&text);
        text.recommended(&said, recommendation.dimension(), &mut out);
        text.sized(&said.trace, &mut out);
        Ok(out)
    }

    fn safeguard(
        &self,
        safeguard: &SafeguardPolicy,
        of: Option<Of<'_>>,
        (format, colour): (Format, bool),
    ) -> Result<String, String> {
        let dimension = safeguard.dimension();
        let given = (self.profile, &self.scene.given);
        let mut play = Play::new(self.policy, &self.scene.timeline, dimension, given, of)?;
        play.until(self.at);
        play.explain();
        let decision = play.decide(self.at);
        let stabilize = play.stabilize(safeguard);
        if format == Format::Json {
            let stabilize = stabilize.map(|one| {
                json!({"up_s": one.up.as_secs(), "down_s": one.down.as_secs(), "dead_band_pct": one.dead_band_pct})
            });
            let own = json!({"current": play.current(), "stabilize": stabilize, "decision": decision.json()});
            return Ok(with(self.json(), own));
        }
        let text = Text { colour };
        let mut out = self.text(&text);
        let head = |name: &str| text.paint("1", &format!("{name:<11}"));
        let _ = write!(out, "{}{} {}", head("field"), size_text(dimension, play.current()), dimension.name());
        let _ = writeln!(out, "{}", play.set().map(|set| format!(", set {set}")).unwrap_or_default());
        if let Some(one) = stabilize {
            let span = |length: Duration| humantime::format_duration(length).to_string();
            let (up, down, band) = (span(one.up), span(one.down), one.dead_band_pct);
            let _ = writeln!(out, "{}up {up}, down {down}, dead-band {band} %", head("stabilize"));
        }
        text.size(&decision, &mut out);
        Ok(out)
    }
}

/// One document of two objects.
fn with(mut head: Value, own: Value) -> String {
    if let (Some(fields), Value::Object(own)) = (head.as_object_mut(), own) {
        fields.extend(own);
    }
    format!("{head:#}\n")
}

impl Text {
    fn recommended(&self, said: &Recommended, dimension: Dimension, out: &mut String) {
        let head = self.paint("1", &format!("{:<11}", "recommends"));
        match &said.proposal {
            Some(one) => {
                let size = self.paint("1;32", &size_text(dimension, one.target));
                let _ = writeln!(out, "{head}{size}, confidence {}: {}", one.confidence, one.basis);
                let _ = writeln!(out, "{:<11}by {}", "", one.rule);
            }
            None => {
                let _ = writeln!(out, "{head}{}", self.paint("1;33", "nothing"));
            }
        }
        if let Some((rule, reason)) = &said.error {
            let _ = writeln!(out, "{:<11}{rule} could not be evaluated: {reason}", "");
        }
        out.push('\n');
    }

    /// A decision about the size of a component.
    pub(super) fn size(&self, decision: &NfrDecision, out: &mut String) {
        let dimension = decision.dimension;
        let head = |name: &str| self.paint("1", &format!("{name:<11}"));
        let action = match decision.action {
            Action::Apply { target } => self.paint("1;32", &format!("apply {}", size_text(dimension, target))),
            Action::Hold => self.paint("1;33", "hold"),
        };
        let _ = writeln!(out, "{}{action} by {}", head("decision"), decision.by);
        let _ = writeln!(out, "{:<11}{}", "", decision.reason);
        if let Some(one) = &decision.recommendation {
            let (size, raw) = (size_text(dimension, one.target), size_text(dimension, one.raw));
            let _ = writeln!(out, "{}{size} since {}, {raw} as computed", head("recommends"), one.since);
            let _ = writeln!(out, "{:<11}{} (confidence {})", "", one.basis, one.confidence);
        }
        let _ = writeln!(out, "\n{}", self.paint("1", &format!("Recommendations as of {}", decision.at)));
        self.sized(&decision.trace.recommendation, out);
        if let Some(window) = &decision.trace.window {
            self.window(window, dimension, out);
        }
        if !decision.trace.safeguard.is_empty() {
            let _ = writeln!(out, "\n{}", self.paint("1", "Safeguard about this change"));
            self.sized(&decision.trace.safeguard, out);
        }
        for one in &decision.trace.bounds {
            let side =
                |word: &str, bound: Option<f64>| bound.map(|bound| format!("{word} {}", size_text(dimension, bound)));
            let sides: Vec<String> =
                side("at most", one.at_most).into_iter().chain(side("at least", one.at_least)).collect();
            let binds = if one.binds { self.paint("33", "binds") } else { self.paint("2", "does not bind") };
            let _ = writeln!(out, "    {}: {}: {binds}", short(&one.rule), sides.join(", "));
        }
        for one in &decision.trace.limits {
            let (from, to) = (size_text(dimension, one.from), size_text(dimension, one.to));
            let _ = writeln!(out, "    {from} -> {to} by {}", one.by);
        }
    }

    fn window(&self, window: &WindowTrace, dimension: Dimension, out: &mut String) {
        let bound = window.bound.map_or_else(|| "none".to_owned(), |bound| size_text(dimension, bound));
        let end = if window.direction.name() == "up" { "lowest" } else { "highest" };
        let (there, of, direction) = (window.there, window.of, window.direction.name());
        let head = self.paint("1", &format!("Window {direction}"));
        let _ = writeln!(out, "\n{head}: {there} of {of} points, {end} {bound}");
        if let Some(shortfall) = &window.shortfall {
            let _ = writeln!(out, "    {}", self.paint("33", &format!("does not count: {shortfall}")));
        }
        for (at, value) in &window.points {
            let value = value.map_or_else(|| "no answer".to_owned(), |value| size_text(dimension, value));
            let _ = writeln!(out, "    {at}  {value}");
        }
    }

    /// Rules with what they read and how far each comparison is from coming out the other way.
    fn sized(&self, rules: &[RuleTrace], out: &mut String) {
        let width = rules.iter().map(|trace| short(&trace.rule).chars().count()).max().unwrap_or(0);
        let line = |text: String, out: &mut String| {
            let _ = writeln!(out, "{}{text}", " ".repeat(width + 10));
        };
        for trace in rules {
            let holds = trace.effect.as_ref().is_some_and(|effect| effect.starts_with("hold"));
            let (code, mark) = match &trace.outcome {
                RuleOutcome::True if holds => ("33", "!!"),
                RuleOutcome::True => ("32", "ok"),
                RuleOutcome::False => ("2", "--"),
                RuleOutcome::Error(_) => ("31", "??"),
                RuleOutcome::Inapplicable(_) => ("2", "na"),
            };
            let condition = clip(&trace.condition.split_whitespace().collect::<Vec<_>>().join(" "));
            let _ = writeln!(out, "    {}  {:<width$}  {condition}", self.paint(code, mark), short(&trace.rule));
            if let RuleOutcome::Error(reason) | RuleOutcome::Inapplicable(reason) = &trace.outcome {
                line(self.paint("31", reason), out);
            }
            if !trace.values.is_empty() {
                let values: Vec<String> =
                    trace.values.iter().map(|(name, value)| format!("{name} = {value}")).collect();
                line(self.paint("2", &values.join(", ")), out);
            }
            trace.margins.iter().for_each(|margin| line(self.paint("2", &margin.to_string()), out));
            if let Some(effect) = &trace.effect {
                line(effect.to_string(), out);
            }
        }
    }
}

/// The id of a rule.
fn short(rule: &str) -> &str {
    rule.rsplit('/').next().unwrap_or(rule)
}
