//! A document being compiled: names that its expressions may use, and what they use.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::bundle::Shared;
use super::cel::{self, Constant, Expression, Known, Look, Names, Problem, Slot, Type};
use super::diagnostic::{DIVISION, Diagnostic, SYNTAX, Severity, Sink, UNGUARDED, UNKNOWN, UNUSED, WINDOW};
use super::document::{Definitions, RuleForm};
use super::facts::{self, Reader};
use super::unit::{Reading, Rule, Unit};
use super::yaml::Text;
use super::{Inputs, units};

mod fixed;

use fixed::Fixed;

/// Compiles the expressions of one document, and sees what they use.
pub(super) struct Compiler<'a> {
    names: Scoped,
    unit: Unit,
    definitions: &'a Definitions,
    shared: &'a Shared<'a>,
}

/// Names that the expressions of one document may use.
struct Scoped {
    reader: Reader,
    own: BTreeMap<String, (Type, Option<Known>)>,
    signals: Vec<String>,
    /// Paths of the variables that are there so far.
    variables: Vec<String>,
    /// Values of params.
    constants: BTreeMap<String, Constant>,
}

/// A literal that its author chose.
fn plain(text: &str) -> bool {
    matches!(text.trim(), "true" | "false")
}

const QUOTE: &str =
    "a text is CEL too: put it in quotes of its own within those of YAML, such as '\"please add a team\"'";

/// Whether the author of a text wrote words rather than CEL.
fn is_words(text: &str, problems: &[Problem]) -> bool {
    let plain = |c: char| c.is_alphanumeric() || c.is_whitespace() || ",;:!?-'’".contains(c) || c == '.';
    let slip = |one: &Problem| matches!(one.topic, SYNTAX | UNKNOWN);
    let reads = ["params.", "variables.", "class.", "nfr.", "signals."].iter().any(|root| text.contains(root));
    text.chars().all(plain) && problems.iter().all(slip) && !reads
}

impl Scoped {
    fn is_own(&self, root: &str) -> bool {
        matches!(root, "params" | "variables") || (root == facts::SIGNALS && self.reader.reads(root))
    }
}

impl Names for Scoped {
    fn lookup(&self, path: &str) -> Option<(Type, bool)> {
        if self.is_own(path) {
            return Some((Type::Object(path.to_owned()), false));
        }
        let own = self.own.get(path).map(|(ty, _)| (ty.clone(), false));
        own.or_else(|| facts::lookup(path).filter(|_| self.reader.reads(path)))
    }

    fn below(&self, path: &str) -> Vec<String> {
        if path.is_empty() {
            let mut names = facts::below("");
            names.extend(["params", "variables", facts::SIGNALS].map(str::to_owned));
            names.retain(|name| self.reader.reads(name));
            return names;
        }
        if path == facts::SIGNALS {
            return self.signals.clone();
        }
        let prefix = format!("{path}.");
        let own = self.own.keys().filter_map(|name| name.strip_prefix(&prefix)).map(str::to_owned);
        own.chain(facts::below(path)).collect()
    }

    fn domain(&self, path: &str) -> Option<Known> {
        match self.own.get(path) {
            Some((_, known)) => known.clone(),
            None => facts::domain(path),
        }
    }

    fn slot(&self, path: &str) -> Option<Slot> {
        let place = |names: &[String], name: &str| names.iter().position(|known| known == name);
        match path.split_once('.') {
            Some((facts::SIGNALS, name)) => place(&self.signals, name).map(Slot::Signal),
            Some(("variables", _)) => place(&self.variables, path).map(Slot::Variable),
            _ => facts::position(path).map(Slot::Fact),
        }
    }

    fn constant(&self, path: &str) -> Option<Constant> {
        self.constants.get(path).cloned()
    }

    fn elsewhere(&self, name: &str) -> Option<(String, String)> {
        let readers = facts::readers(name)?;
        let kinds: Vec<&str> = readers.iter().map(|reader| reader.name()).collect();
        let message = format!("`{name}` is not there in documents of kind {}", self.reader.name());
        Some((message, format!("only documents of kind {} read it", kinds.join(" and "))))
    }
}

impl<'a> Compiler<'a> {
    pub(super) fn new(
        reader: Reader,
        name: &str,
        definitions: &'a Definitions,
        shared: &'a Shared<'a>,
        inputs: &Inputs,
        sink: &mut Sink,
    ) -> Self {
        let name = format!("{}/{name}", reader.name());
        let signals = shared.signals.iter().map(|signal| signal.name.text.clone()).collect();
        let (own, constants) = (BTreeMap::new(), BTreeMap::new());
        let mut names = Scoped { reader, own, signals, variables: Vec::new(), constants };
        if reader.reads(facts::SIGNALS) {
            let paths = names.signals.iter().map(|name| format!("{}.{name}", facts::SIGNALS));
            names.own = paths.map(|path| (path, (Type::Signal, None))).collect();
        }
        let mut params = BTreeMap::new();
        for shared_param in shared.params {
            let form = &shared_param.form;
            let path = format!("params.{}", form.name.text);
            names.own.insert(path.clone(), (form.cel(), form.domain()));
            if let Some(param) = form.resolve(inputs, shared.override_of_shared(shared_param), sink) {
                names.constants.extend(param.constant().map(|value| (path.clone(), value)));
                params.insert(path, param);
            }
        }
        for form in &definitions.params {
            let path = format!("params.{}", form.name.text);
            super::document::twice(&form.name, shared.params.iter().map(|shared| &shared.form.name), "param", sink);
            names.own.insert(path.clone(), (form.cel(), form.domain()));
            if let Some(param) = form.resolve(inputs, shared.override_of(&name, &form.name.text), sink) {
                names.constants.extend(param.constant().map(|value| (path.clone(), value)));
                params.insert(path, param);
            }
        }
        let unit = Unit {
            name,
            params,
            variables: Vec::new(),
            reads: BTreeSet::new(),
            readings: Vec::new(),
            signals: Arc::clone(&shared.policies),
        };
        let mut compiler = Self { names, unit, definitions, shared };
        for (name, expression) in &definitions.variables {
            let variable = compiler.compile(expression, &Type::Any, sink);
            if let Some((_, problem)) = variable.as_ref().and_then(Expression::always)
                && !plain(&expression.text)
            {
                sink.push(expression.at.inside(&expression.text, problem.clone()));
            }
            let ty = variable.as_ref().map_or(Type::Any, |variable| variable.ty().clone());
            compiler.names.own.insert(format!("variables.{}", name.text), (ty, None));
            if let Some(variable) = variable {
                compiler.names.variables.push(format!("variables.{}", name.text));
                compiler.unit.variables.push((format!("variables.{}", name.text), variable));
            }
        }
        compiler
    }

    pub(super) fn compile(&mut self, text: &Text, wanted: &Type, sink: &mut Sink) -> Option<Expression> {
        self.compile_where(&[], text, wanted, sink)
    }

    /// Compiles what is evaluated only where conditions hold.
    fn compile_where(
        &mut self,
        holds: &[&Expression],
        text: &Text,
        wanted: &Type,
        sink: &mut Sink,
    ) -> Option<Expression> {
        match Expression::compile_where(holds, &text.text, wanted, &self.names) {
            Ok(expression) => {
                self.unit.reads.extend(expression.reads().iter().cloned());
                for warning in expression.warnings() {
                    sink.push(text.at.inside(&text.text, warning.clone()));
                }
                self.readings(text, &expression, sink);
                Some(expression)
            }
            Err(problems) => {
                let words = *wanted == Type::Text && is_words(&text.text, &problems);
                for problem in problems {
                    let found = text.at.inside(&text.text, problem);
                    sink.push(if words { found.help(QUOTE) } else { found });
                }
                None
            }
        }
    }

    /// Compiles what is evaluated only where the conditions of a rule hold. Where the rule has a fault of its own, which
    /// is reported, nobody knows what it guards.
    pub(super) fn compile_under(
        &mut self,
        rule: Option<&Rule>,
        text: &Text,
        wanted: &Type,
        sink: &mut Sink,
    ) -> Option<Expression> {
        let Some(rule) = rule else {
            let mut found = Sink::default();
            self.compile(text, wanted, &mut found);
            sink.take(found, |one| !matches!(one.topic, UNGUARDED | DIVISION));
            return None;
        };
        self.compile_where(&rule.conditions(), text, wanted, sink)
    }

    /// Notes which signals an expression reads, and that they keep what it looks back at.
    fn readings(&mut self, text: &Text, expression: &Expression, sink: &mut Sink) {
        let prefix = format!("{}.", facts::SIGNALS);
        for (path, name) in expression.reads().iter().filter_map(|path| Some((path, path.strip_prefix(&prefix)?))) {
            if !self.unit.readings.iter().any(|reading| reading.name == name) {
                // What is no signal has been reported.
                let Some(index) = self.names.signals.iter().position(|known| known == name) else { continue };
                let known = self.shared.signals.get(index);
                let keeps = known.and_then(|signal| signal.window).map_or(i64::MAX, |window| window.num_milliseconds());
                let (name, path) = (name.to_owned(), Arc::from(path.as_str()));
                self.unit.readings.push(Reading { name, index, path, keeps, look_back: Duration::ZERO });
            }
        }
        for look in expression.looks() {
            self.look(text, look, sink);
        }
    }

    fn look(&mut self, text: &Text, look: &Look, sink: &mut Sink) {
        let length = |longest| cel::length_of(look, &Fixed::new(&self.unit, longest));
        // Params that have a fault of their own have no value; that is reported.
        let (Some(length), Some(longest)) = (length(false), length(true)) else { return };
        let mut fault = |message: String, help: String, related: Option<String>| {
            let problem = Problem {
                start: look.start,
                len: look.len,
                message,
                help: Some(help),
                topic: WINDOW,
                severity: Severity::Error,
            };
            let found = text.at.inside(&text.text, problem);
            sink.push(match related {
                Some(place) => found.related(place, "the signal"),
                None => found,
            });
        };
        if length <= chrono::Duration::zero() {
            let help = "write how far back to look, such as duration(\"5m\")";
            return fault("this looks back at nothing".to_owned(), help.to_owned(), None);
        }
        if let Some(signal) = self.shared.signals.iter().find(|signal| signal.name.text == look.signal)
            && longest > signal.keeps()
        {
            let name = &look.signal;
            let stated = if signal.window.is_some() { "keeps" } else { "states no `window` and keeps" };
            let message = format!(
                "this looks back {}, the signal `{name}` {stated} {}",
                units::words(longest),
                units::words(signal.keeps())
            );
            let help = format!("give Signal/{name} a longer `window`, or look back less: the `max` of a param counts");
            return fault(message, help, Some(signal.name.at.text()));
        }
        let length = length.to_std().unwrap_or_default();
        if let Some(reading) = self.unit.readings.iter_mut().find(|reading| reading.name == look.signal) {
            reading.look_back = reading.look_back.max(length);
        }
    }

    /// Compiles a duration that follows from params and literals, with its value in effect.
    pub(super) fn fixed_duration(&mut self, text: &Text, sink: &mut Sink) -> Option<chrono::Duration> {
        let expression = self.compile(text, &Type::Duration, sink)?;
        if !expression.is_fixed() {
            let message = "a window of stability must follow from params and literals alone";
            let problem = super::nfr::whole(text, message, "what differs by profile is a param's to say", WINDOW);
            sink.push(text.at.inside(&text.text, problem));
            return None;
        }
        let value = self.fixed(text, &expression, |scope| expression.duration(scope), sink)?;
        if value < chrono::Duration::zero() {
            let problem = super::nfr::whole(text, "a window of stability is not negative", "write 0s for none", WINDOW);
            sink.push(text.at.inside(&text.text, problem));
            return None;
        }
        Some(value)
    }

    /// Compiles a condition that no rule is made of: a plain `true` or `false` is a choice, all else must vary.
    pub(super) fn condition(&mut self, text: &Text, sink: &mut Sink) -> Option<Expression> {
        let condition = self.compile(text, &Type::Bool, sink)?;
        if let (Some((_, problem)), false) = (condition.always(), plain(&text.text)) {
            sink.push(text.at.inside(&text.text, problem.clone()));
        }
        Some(condition)
    }

    /// Compiles a rule. One that can never hold is a mistake; one that always holds says so by a plain `true`.
    pub(super) fn rule(&mut self, form: &RuleForm, sink: &mut Sink) -> Option<Rule> {
        self.rule_when(None, form, sink)
    }

    /// Compiles a rule that is asked only where `when` holds, which is one of the same kind.
    pub(super) fn rule_when(&mut self, when: Option<&Text>, form: &RuleForm, sink: &mut Sink) -> Option<Rule> {
        let text = &form.condition;
        let when = match when {
            None => None,
            Some(when) => Some(self.lasting(&[], when, sink)?),
        };
        let condition = self.lasting(&when.iter().collect::<Vec<_>>(), text, sink)?;
        let text = match &when {
            None => condition.source().into(),
            Some(when) => format!("({}) && ({})", when.source().trim(), condition.source().trim()).into(),
        };
        let name = format!("{}/{}", self.unit.name, form.id.text).into();
        Some(Rule { name, mode: form.mode, when, condition, text })
    }

    /// A condition that can hold.
    fn lasting(&mut self, holds: &[&Expression], text: &Text, sink: &mut Sink) -> Option<Expression> {
        let condition = self.compile_where(holds, text, &Type::Bool, sink)?;
        match condition.always() {
            Some((false, problem)) => {
                let problem = text.at.inside(&text.text, problem.clone());
                sink.push(Diagnostic { severity: Severity::Error, ..problem });
                return None;
            }
            Some((true, problem)) if !plain(&text.text) => sink.push(text.at.inside(&text.text, problem.clone())),
            _ => {}
        }
        Some(condition)
    }

    /// Compiles a rule of `enabled`, where a plain `false` switches a template off.
    pub(super) fn switch(&mut self, form: &RuleForm, sink: &mut Sink) -> Option<Rule> {
        if form.condition.text.trim() != "false" {
            return self.rule(form, sink);
        }
        let condition = self.compile(&form.condition, &Type::Bool, sink)?;
        let text = condition.source().into();
        let name = format!("{}/{}", self.unit.name, form.id.text).into();
        Some(Rule { name, mode: form.mode, when: None, condition, text })
    }

    /// The unit; params and variables that nothing reads are warned of, where the rest is right.
    pub(super) fn finish(self, sink: &mut Sink) -> Unit {
        if !sink.has_errors() {
            let params = self.definitions.params.iter().map(|form| ("param", "params", &form.name));
            let variables = self.definitions.variables.iter().map(|(name, _)| ("variable", "variables", name));
            for (what, root, name) in params.chain(variables) {
                if !self.unit.reads.contains(&format!("{root}.{}", name.text)) {
                    let message = format!("{what} `{}` is not used", name.text);
                    sink.push(name.at.error(message).topic(UNUSED).warning().help("remove it, or use it in a rule"));
                }
            }
        }
        self.unit
    }
}
