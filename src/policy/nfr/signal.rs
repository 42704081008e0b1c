//! Compiled Signal documents: what is measured.

use std::time::Duration;

use crate::policy::bundle::Shared;
use crate::policy::cel::Expression;
use crate::policy::compiler::Compiler;
use crate::policy::diagnostic::Sink;
use crate::policy::facts::{Facts, Reader};
use crate::policy::unit::Unit;
use crate::policy::{Inputs, units};

use super::form::SignalForm;

/// How samples find their component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Join {
    /// By the labels `namespace` and `pod`.
    Pod,
    /// By `namespace` and the name of the workload.
    Workload,
    /// By the revision of a Knative Service.
    Revision,
}

impl Join {
    /// The labels that it needs, each by the names that it may have.
    pub(crate) fn labels(self) -> &'static [&'static [&'static str]] {
        const NAMESPACE: &[&str] = &["namespace", "namespace_name"];
        match self {
            Self::Pod => &[NAMESPACE, &["pod", "pod_name"]],
            Self::Workload => &[NAMESPACE, &["workload", "deployment"]],
            Self::Revision => &[NAMESPACE, &["revision", "revision_name"]],
        }
    }
}

/// How the pods of a component are put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Combine {
    /// Added up.
    Sum,
    /// The greatest.
    Max,
    /// The least.
    Min,
    /// Their mean.
    Avg,
}

/// A Signal document.
#[derive(Debug)]
pub struct SignalPolicy {
    name: String,
    unit: Unit,
    measure: String,
    quantile: Option<f64>,
    query: String,
    join: Join,
    combine: Combine,
    window: Option<Duration>,
    step: Option<Duration>,
    max_age: Duration,
    required_when: Option<Expression>,
}

impl SignalPolicy {
    pub(in crate::policy) fn compile(
        name: &str,
        form: &SignalForm,
        shared: &Shared<'_>,
        inputs: &Inputs,
        sink: &mut Sink,
    ) -> Option<Self> {
        let mut compiler = Compiler::new(Reader::Signal, name, &form.definitions, shared, inputs, sink);
        let required_when = match &form.required_when {
            None => None,
            Some(text) => Some(compiler.condition(text, sink)?),
        };
        Some(Self {
            name: name.to_owned(),
            unit: compiler.finish(sink),
            measure: form.measure.clone()?,
            quantile: form.yields?.quantile(),
            query: form.query.clone()?,
            join: form.join?,
            combine: form.combine?,
            window: form.window.and_then(units::std),
            step: form.step.and_then(units::std),
            max_age: units::std(form.max_age?)?,
            required_when,
        })
    }

    /// Its name: rules read it as `signals.NAME`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The document itself.
    pub fn unit(&self) -> &Unit {
        &self.unit
    }

    /// What its values count, such as `cores` or `bytes`.
    pub fn measure(&self) -> &str {
        &self.measure
    }

    /// Of a histogram, the share of what is counted: buckets of all pods are added up, then the quantile is taken.
    pub fn quantile(&self) -> Option<f64> {
        self.quantile
    }

    /// Its query in PromQL, with `$scope` for the matchers of what is measured.
    pub fn query(&self) -> &str {
        &self.query
    }

    /// How its samples find their component.
    pub fn join(&self) -> Join {
        self.join
    }

    /// How the pods of a component are put together.
    pub fn combine(&self) -> Combine {
        self.combine
    }

    /// How far back samples are kept, where the document says so.
    pub fn window(&self) -> Option<Duration> {
        self.window
    }

    /// Time between samples, where the document says so.
    pub fn step(&self) -> Option<Duration> {
        self.step
    }

    /// Age from which a sample says nothing about now.
    pub fn max_age(&self) -> Duration {
        self.max_age
    }

    /// The condition on which a class needs it, by the name that a rule would have; `None` where it says always or
    /// never.
    pub fn required_when(&self) -> Option<String> {
        let when = self.required_when.as_ref()?;
        when.always().is_none().then(|| format!("{}/required_when", self.unit.name()))
    }

    /// Whether a class needs it, over the facts of its spec; the reason where that can't be evaluated. What is not said
    /// to be needed only sometimes is needed.
    pub fn required(&self, facts: &Facts) -> Result<bool, String> {
        self.required_when.as_ref().map_or(Ok(true), |when| self.unit.over(facts).condition(when))
    }
}
