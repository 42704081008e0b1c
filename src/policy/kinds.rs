//! Compiled Admission and Template documents.

use std::sync::Arc;

use super::Inputs;
use super::addons::{AddonShapes, Addons};
use super::autoscaler::{Autoscaler, AutoscalerShape};
use super::bundle::Shared;
use super::cel::{Expression, Type};
use super::compiler::Compiler;
use super::diagnostic::{RANGE, Sink};
use super::document::{
    AdmissionForm, ImageForm, OdgmForm, ResourceTexts, Security, SecurityForm, TemplateForm, WorkloadForm,
};
use super::facts::Reader;
use super::trace::{RuleMode, RuleOutcome, RuleTrace};
use super::unit::{Rule, Scope, Unit};
use super::units::number;
use super::yaml::Text;

/// An Admission document.
#[derive(Debug)]
pub struct AdmissionPolicy {
    unit: Unit,
    rules: Vec<AdmissionRule>,
}

#[derive(Debug)]
struct AdmissionRule {
    rule: Rule,
    denies: bool,
    message: Expression,
}

/// What one admission rule says about a record.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The rule as it was evaluated.
    pub trace: RuleTrace,
    /// What follows, and the message; `None` where nothing follows.
    pub effect: Option<(Effect, String)>,
}

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The record is refused.
    Deny,
    /// Its author is told.
    Warn,
}

impl AdmissionPolicy {
    pub(super) fn compile(
        name: &str,
        form: &AdmissionForm,
        shared: &Shared<'_>,
        inputs: &Inputs,
        sink: &mut Sink,
    ) -> Self {
        let mut compiler = Compiler::new(Reader::Admission, name, &form.definitions, shared, inputs, sink);
        let mut rules = Vec::new();
        for form in &form.rules {
            let rule = compiler.rule(&form.rule, sink);
            let message = compiler.compile(&form.message, &Type::Text, sink);
            if let (Some(rule), Some(message)) = (rule, message) {
                rules.push(AdmissionRule { rule, denies: form.denies, message });
            }
        }
        Self { unit: compiler.finish(sink), rules }
    }

    /// The document itself.
    pub fn unit(&self) -> &Unit {
        &self.unit
    }

    /// Its rules.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().map(|rule| &rule.rule)
    }

    /// Evaluates all rules. A `deny` that can't be evaluated denies, naming itself: that is the safe action. A `warn`
    /// that can't be evaluated warns.
    pub fn evaluate<'a>(&'a self, facts: &'a super::Facts) -> impl Iterator<Item = Verdict> + 'a {
        let scope = self.unit.over(facts);
        self.rules.iter().map(move |rule| rule.evaluate(&scope))
    }
}

impl AdmissionRule {
    fn evaluate(&self, scope: &Scope<'_>) -> Verdict {
        let mut trace = self.rule.evaluate(scope);
        let failed = |reason: &str| format!("rule {} could not be evaluated: {reason}", self.rule.name());
        let effect = if self.denies { Effect::Deny } else { Effect::Warn };
        let (effect, message) = match &trace.outcome {
            RuleOutcome::False => return Verdict { trace, effect: None },
            RuleOutcome::Error(reason) | RuleOutcome::Inapplicable(reason) => (effect, failed(reason)),
            RuleOutcome::True => {
                // A message that fails must not lift what the condition decided.
                let message = scope.for_mode(self.rule.mode(), || scope.text(&self.message));
                let message = message.unwrap_or_else(|reason| {
                    format!("rule {} holds (its message could not be evaluated: {reason})", self.rule.name())
                });
                (effect, message)
            }
        };
        let verb = if effect == Effect::Deny { "deny" } else { "warn" };
        trace.effect = Some(format!("{verb}: {message}").into());
        let effect = match self.rule.mode() {
            RuleMode::Enforce => Some((effect, message)),
            RuleMode::Warn => Some((Effect::Warn, message)),
            RuleMode::DryRun => None,
        };
        Verdict { trace, effect }
    }
}

/// A rule of a score.
#[derive(Debug)]
struct Points {
    rule: Rule,
    add: f64,
    /// The same, for people.
    shown: Arc<str>,
}

/// A Template document.
#[derive(Debug)]
pub struct TemplatePolicy {
    name: String,
    unit: Unit,
    aliases: Vec<String>,
    enabled: Vec<Rule>,
    score: Vec<Points>,
    workload: Workload,
}

#[derive(Debug)]
struct Workload {
    knative: bool,
    replicas: Expression,
    max_replicas: Option<Expression>,
    resources: ResourceTexts,
    probes: bool,
    grace: Option<u32>,
    security: SecurityRules,
    autoscaler: Option<Autoscaler>,
    odgm: Option<Odgm>,
    addons: Addons,
}

#[derive(Debug)]
struct SecurityRules {
    drop_capabilities: Option<Expression>,
    run_as_non_root: Option<Expression>,
}

#[derive(Debug)]
struct Odgm {
    enabled: Option<Expression>,
    image: Image,
    replicas: Expression,
    resources: ResourceTexts,
    security: SecurityRules,
}

#[derive(Debug)]
enum Image {
    Literal(String),
    Expression(Box<Expression>),
}

/// How a template does for one class.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// Whether it may be used; the rule and reason where that could not be evaluated.
    pub enabled: Result<bool, (String, String)>,
    /// Sum of its points; the rule and reason where one could not be evaluated.
    pub score: Result<f64, (String, String)>,
    /// All rules: `enabled` first, then the score rules.
    pub trace: Vec<RuleTrace>,
}

/// What a template is for one class.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// The workload is a Knative Service.
    pub knative: bool,
    /// Replicas of each function.
    pub replicas: u32,
    /// Most replicas of a function, of a Knative Service.
    pub max_replicas: Option<u32>,
    /// Resources of each function.
    pub resources: ResourceTexts,
    /// TCP probes are rendered.
    pub probes: bool,
    /// Seconds that a pod gets to end.
    pub grace: Option<u32>,
    /// Security of the functions' pods.
    pub security: Security,
    /// What scales functions by their load.
    pub autoscaler: Option<AutoscalerShape>,
    /// The data grid.
    pub odgm: Option<OdgmShape>,
    /// The other addons.
    pub addons: AddonShapes,
}

/// The data grid's part of a template, for one class.
#[derive(Clone, Debug, PartialEq)]
pub struct OdgmShape {
    /// Container image.
    pub image: String,
    /// Pods.
    pub replicas: u32,
    /// Resources of one pod.
    pub resources: ResourceTexts,
    /// Security of its pods.
    pub security: Security,
}

impl TemplatePolicy {
    pub(super) fn compile(
        name: &str,
        form: &TemplateForm,
        shared: &Shared<'_>,
        inputs: &Inputs,
        sink: &mut Sink,
    ) -> Option<Self> {
        let mut compiler = Compiler::new(Reader::Template, name, &form.definitions, shared, inputs, sink);
        let enabled = form.enabled.iter().filter_map(|rule| compiler.switch(rule, sink)).collect();
        let points = |rule, add: f64| Points { rule, add, shown: format!("{add:+}").into() };
        let score =
            form.score.iter().filter_map(|(rule, add)| Some(points(compiler.rule(rule, sink)?, *add))).collect();
        let workload = workload(&form.workload, &mut compiler, sink);
        Some(Self {
            name: name.to_owned(),
            unit: compiler.finish(sink),
            aliases: form.aliases.iter().map(|alias| alias.text.clone()).collect(),
            enabled,
            score,
            workload: workload?,
        })
    }

    /// Name of the template.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The document itself.
    pub fn unit(&self) -> &Unit {
        &self.unit
    }

    /// Its rules: `enabled` first, then the score rules.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.enabled.iter().chain(self.score.iter().map(|points| &points.rule))
    }

    /// Whether a record that says `asked` means this template, by its name or an alias.
    pub fn answers_to(&self, asked: &str) -> bool {
        self.name == asked || self.aliases.iter().any(|alias| alias == asked)
    }

    /// Evaluates `enabled` and the score.
    pub fn standing(&self, scope: &Scope<'_>) -> Standing {
        let mut trace = Vec::with_capacity(self.enabled.len() + self.score.len());
        let mut enabled = Ok(true);
        for rule in &self.enabled {
            let one = rule.evaluate(scope);
            enabled = match (&enabled, &one.outcome) {
                // One rule that says no decides, whatever the others could not say.
                (Ok(false), _) | (_, RuleOutcome::False) => Ok(false),
                (Ok(true), RuleOutcome::Error(reason) | RuleOutcome::Inapplicable(reason)) => {
                    Err((one.rule.to_string(), reason.clone()))
                }
                _ => enabled,
            };
            trace.push(one);
        }
        let mut sum = Ok(0.0);
        for Points { rule, add, shown } in &self.score {
            let mut one = rule.evaluate(scope);
            one.effect = Some(Arc::clone(shown));
            if rule.mode() == RuleMode::Enforce {
                sum = match (sum, &one.outcome) {
                    (Ok(points), RuleOutcome::True) => Ok(points + add),
                    (Ok(_), RuleOutcome::Error(reason) | RuleOutcome::Inapplicable(reason)) => {
                        Err((one.rule.to_string(), reason.clone()))
                    }
                    (unchanged, _) => unchanged,
                };
            }
            trace.push(one);
        }
        Standing { enabled, score: sum, trace }
    }

    /// What of it scales functions by their load; the field and reason where that can't be evaluated.
    pub fn autoscaler(&self, scope: &Scope<'_>) -> Result<Option<AutoscalerShape>, (String, String)> {
        let shape = self.workload.autoscaler.as_ref().map_or(Ok(None), |scaler| scaler.shape(scope));
        shape.map_err(|(field, reason)| (format!("{}/autoscaler.{field}", self.unit.name()), reason))
    }

    /// What the template is for a class; the field and reason where that can't be evaluated.
    pub fn shape(&self, scope: &Scope<'_>) -> Result<Shape, (String, String)> {
        let failed = |field: &str, reason: String| (format!("{}/{field}", self.unit.name()), reason);
        let Workload {
            knative,
            replicas,
            max_replicas,
            resources,
            probes,
            grace,
            security,
            autoscaler: _,
            odgm,
            addons,
        } = &self.workload;
        let most = max_replicas.as_ref().map(|most| pods(scope, most, 1.0)).transpose();
        let autoscaler = self.autoscaler(scope)?;
        let odgm = match odgm {
            None => None,
            Some(odgm) => odgm.shape(scope).map_err(|(field, reason)| failed(&format!("odgm.{field}"), reason))?,
        };
        Ok(Shape {
            knative: *knative,
            replicas: pods(scope, replicas, 0.0).map_err(|reason| failed("replicas", reason))?,
            max_replicas: most.map_err(|reason| failed("max_replicas", reason))?,
            resources: resources.clone(),
            probes: *probes,
            grace: *grace,
            security: security.evaluate(scope).map_err(|(field, reason)| failed(field, reason))?,
            autoscaler,
            odgm,
            addons: addons.shapes(scope).map_err(|(field, reason)| failed(&field, reason))?,
        })
    }
}

impl Odgm {
    fn shape(&self, scope: &Scope<'_>) -> Result<Option<OdgmShape>, (&'static str, String)> {
        if !scope.enabled(self.enabled.as_ref())? {
            return Ok(None);
        }
        let image = match &self.image {
            Image::Literal(image) => image.clone(),
            Image::Expression(expression) => scope
                .text(expression)
                .and_then(|image| is_image(&image).map(|()| image))
                .map_err(|reason| ("image_expression", reason))?,
        };
        let replicas = pods(scope, &self.replicas, 0.0).map_err(|reason| ("replicas", reason))?;
        let security = self.security.evaluate(scope)?;
        Ok(Some(OdgmShape { image, replicas, resources: self.resources.clone(), security }))
    }
}

impl SecurityRules {
    fn compile(form: &SecurityForm, compiler: &mut Compiler<'_>, sink: &mut Sink) -> Option<Self> {
        let mut compile = |text: &Option<_>| match text {
            None => Some(None),
            Some(text) => compiler.condition(text, sink).map(Some),
        };
        let drop_capabilities = compile(&form.drop_capabilities);
        let run_as_non_root = compile(&form.run_as_non_root);
        Some(Self { drop_capabilities: drop_capabilities?, run_as_non_root: run_as_non_root? })
    }

    fn evaluate(&self, scope: &Scope<'_>) -> Result<Security, (&'static str, String)> {
        let holds = |rule: &Option<Expression>| rule.as_ref().map_or(Ok(false), |rule| scope.condition(rule));
        Ok(Security {
            drop_capabilities: holds(&self.drop_capabilities)
                .map_err(|reason| ("security.drop_capabilities", reason))?,
            run_as_non_root: holds(&self.run_as_non_root).map_err(|reason| ("security.run_as_non_root", reason))?,
        })
    }
}

/// The most pods that a Deployment may sensibly have.
const MAX_PODS: f64 = 10_000.0;

/// Whether it is a number of pods, and not below `least`.
fn is_pods(value: f64, least: f64) -> Result<(), String> {
    if (least..=MAX_PODS).contains(&value) {
        Ok(())
    } else {
        Err(format!("{} is not between {} and 10000", number(value), number(least)))
    }
}

/// A number of pods, rounded up.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be between 0 and 10,000")]
pub(super) fn pods(scope: &Scope<'_>, expression: &Expression, least: f64) -> Result<u32, String> {
    let value = scope.number(expression)?;
    is_pods(value, least).map(|()| value.ceil() as u32)
}

/// Compiles a number of pods. One that is written out is a whole number; what is computed is rounded up.
pub(super) fn compile_pods(
    text: &Text,
    least: f64,
    compiler: &mut Compiler<'_>,
    sink: &mut Sink,
) -> Option<Expression> {
    let replicas = compiler.compile(text, &Type::Double, sink)?;
    let literal = replicas.reads().is_empty();
    let whole = |value: f64| {
        is_pods(value, least)?;
        if value.fract() == 0.0 || !literal {
            return Ok(());
        }
        Err(format!("{value} is no whole number of pods: write {:.1}", value.ceil()))
    };
    compiler.fixed_number(text, &replicas, whole, sink);
    Some(replicas)
}

/// Whether a registry could serve an image of this name.
fn is_image(name: &str) -> Result<(), String> {
    let fine = |c: char| c.is_ascii_alphanumeric() || "._-/:@+".contains(c);
    let begins = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if begins && name.len() <= 512 && name.chars().all(fine) && !name.ends_with(['/', ':', '@']) {
        return Ok(());
    }
    Err(format!("no registry serves an image called {name:?}; write it like registry.example/team/app:1.2"))
}

fn workload(form: &WorkloadForm, compiler: &mut Compiler<'_>, sink: &mut Sink) -> Option<Workload> {
    let replicas = compile_pods(&form.replicas, 0.0, compiler, sink);
    let max_replicas = match &form.max_replicas {
        None => None,
        Some(text) => Some(compile_pods(text, 1.0, compiler, sink)?),
    };
    let odgm = match &form.odgm {
        None => None,
        Some(form) => Some(odgm(form, compiler, sink)?),
    };
    let autoscaler = match &form.autoscaler {
        None => None,
        Some(form) => Some(Autoscaler::compile(form, compiler, sink)?),
    };
    let security = SecurityRules::compile(&form.security, compiler, sink);
    let addons = Addons::compile(&form.addons, compiler, sink);
    Some(Workload {
        knative: form.knative,
        replicas: replicas?,
        max_replicas,
        resources: form.resources.clone(),
        probes: form.probes,
        grace: form.grace,
        security: security?,
        autoscaler,
        odgm,
        addons: addons?,
    })
}

fn odgm(form: &OdgmForm, compiler: &mut Compiler<'_>, sink: &mut Sink) -> Option<Odgm> {
    let enabled = form.enabled.as_ref().map(|text| compiler.condition(text, sink));
    let image = match &form.image {
        ImageForm::Literal(image) => {
            if let Err(fault) = is_image(&image.text) {
                sink.push(image.at.error(fault).topic(RANGE));
            }
            Some(Image::Literal(image.text.clone()))
        }
        ImageForm::Expression(text) => compiler.compile(text, &Type::Text, sink).map(|image| {
            compiler.fixed_text(text, &image, is_image, sink);
            Image::Expression(Box::new(image))
        }),
    };
    let replicas = compile_pods(&form.replicas, 0.0, compiler, sink);
    let security = SecurityRules::compile(&form.security, compiler, sink);
    Some(Odgm {
        enabled: match enabled {
            None => None,
            Some(condition) => Some(condition?),
        },
        image: image?,
        replicas: replicas?,
        resources: form.resources.clone(),
        security: security?,
    })
}
