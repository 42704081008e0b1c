//! What must hold between documents: one Safeguard a dimension, and signals that reach back far enough.

use crate::policy::bundle::Declared;
use crate::policy::diagnostic::{DUPLICATE, Sink, UNUSED, WINDOW};
use crate::policy::unit::Unit;
use crate::policy::units::words;
use crate::policy::yaml::Text;

use super::form::{SafeguardForm, whole};
use super::{RecommendationPolicy, SafeguardPolicy};

/// Checks the documents against each other; `guards` are the Safeguards as written.
pub(in crate::policy) fn check(
    signals: &[Declared],
    recommendations: &[RecommendationPolicy],
    safeguards: &[SafeguardPolicy],
    guards: &[(&Text, &SafeguardForm)],
    sink: &mut Sink,
) {
    for (index, (name, form)) in guards.iter().enumerate() {
        let Some((dimension, at)) = &form.dimension else { continue };
        let before = guards
            .iter()
            .take(index)
            .find(|(_, one)| one.dimension.as_ref().is_some_and(|(other, _)| other == dimension));
        if let Some((first, _)) = before {
            let message = format!("two Safeguards guard {}", dimension.name());
            let help = "put their rules into one document: all of them are asked";
            let error = at.error(message).topic(DUPLICATE).related(first.at.text(), "the first");
            sink.push(error.help(help));
        }
        if let Some(guard) = safeguards.iter().find(|guard| guard.name() == name.text) {
            reaches(signals, recommendations, guard, form, sink);
        }
    }
}

/// The rules are asked at every point of a window of stability, each with the samples that it looks back at.
fn reaches(
    signals: &[Declared],
    recommendations: &[RecommendationPolicy],
    guard: &SafeguardPolicy,
    form: &SafeguardForm,
    sink: &mut Sink,
) {
    let Some(stabilize) = &form.stabilize else { return };
    for one in recommendations.iter().filter(|one| one.dimension() == guard.dimension()) {
        for signal in signals {
            let Some(back) = one.unit().look_back(&signal.name.text) else { continue };
            let needs = guard.longest + chrono::Duration::from_std(back).unwrap_or_default();
            if needs <= signal.keeps() {
                continue;
            }
            let name = &signal.name.text;
            let message = format!(
                "the signal `{name}` keeps {}, {} are needed: {} of stability, and {} that {} looks back",
                words(signal.keeps()),
                words(needs),
                words(guard.longest),
                humantime::format_duration(back),
                one.unit().name(),
            );
            let help = format!("give Signal/{name} `window: {}` or more", words(needs).replace(' ', ""));
            let problem = whole(&stabilize.down, message, &help, WINDOW);
            let found = stabilize.down.at.inside(&stabilize.down.text, problem);
            sink.push(found.related(signal.name.at.text(), "the signal"));
        }
    }
}

/// Warns of a bundle's own signals that no rule reads; what the shipped ones leave is not its author's.
pub(in crate::policy) fn unused(signals: &[Declared], units: &[&Unit], sink: &mut Sink) {
    if sink.has_errors() {
        return;
    }
    for Declared { name, .. } in signals {
        let read = units.iter().any(|unit| unit.look_back(&name.text).is_some());
        if !read && !name.at.file().starts_with("builtin/") {
            let warning = name.at.error(format!("no rule reads the signal `{}`", name.text)).topic(UNUSED).warning();
            sink.push(warning.help("remove it: every signal is a query each cycle; or read it in a Recommendation"));
        }
    }
}
