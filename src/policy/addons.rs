//! What a Template gives beside the workload: one block an addon, read, compiled and evaluated.

use super::cel::{Expression, Type};
use super::compiler::Compiler;
use super::diagnostic::Sink;
use super::fields;
use super::form::Form;
use super::kinds::{compile_pods, pods};
use super::unit::Scope;
use super::units::spelled;
use super::yaml::{Node, Text};

/// The addons of a template, as written. (The data grid has a block of its own, `odgm`.)
#[derive(Debug, Default)]
pub(crate) struct AddonForms {
    pdb: Option<PdbForm>,
    monitor: Option<MonitorForm>,
}

#[derive(Debug)]
struct MonitorForm {
    enabled: Option<Text>,
    path: Text,
    interval: Text,
}

#[derive(Debug)]
struct PdbForm {
    enabled: Option<Text>,
    budget: BudgetForm,
    from_replicas: Option<Text>,
}

#[derive(Debug)]
enum BudgetForm {
    MaxUnavailable(Text),
    MinAvailable(Text),
}

/// The same, compiled.
#[derive(Debug, Default)]
pub(super) struct Addons {
    pdb: Option<Pdb>,
    monitor: Option<Monitor>,
}

#[derive(Debug)]
struct Monitor {
    enabled: Option<Expression>,
    path: Expression,
    interval: Expression,
}

#[derive(Debug)]
struct Pdb {
    enabled: Option<Expression>,
    budget: BudgetRule,
    from_replicas: Option<Expression>,
}

#[derive(Debug)]
enum BudgetRule {
    MaxUnavailable(Expression),
    MinAvailable(Expression),
}

/// The addons that a template gives to one class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddonShapes {
    /// PodDisruptionBudgets.
    pub pdb: Option<PdbShape>,
    /// Monitors of Prometheus' operator.
    pub monitor: Option<MonitorShape>,
}

/// How the pods of one class are scraped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MonitorShape {
    /// Path of the metrics.
    pub path: String,
    /// Seconds between two scrapes, at least 1.
    pub interval_seconds: u32,
}

/// PodDisruptionBudgets of the workloads of one class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PdbShape {
    /// What each of them says.
    pub budget: Budget,
    /// Workloads of fewer replicas get none.
    pub from_replicas: u32,
}

impl PdbShape {
    /// Whether a workload of so many replicas gets one. One without any has nothing to guard.
    pub fn guards(self, replicas: u32) -> bool {
        replicas >= self.from_replicas.max(1)
    }
}

/// How many pods of a workload the cluster's own work may take at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Budget {
    /// So many, at least one.
    MaxUnavailable(u32),
    /// All but so many.
    MinAvailable(u32),
}

/// Reads the block `addons`.
pub(super) fn read(node: Option<&Node>, sink: &mut Sink) -> AddonForms {
    let form = node.and_then(|node| Form::of(node, &fields::ADDONS, sink));
    let Some(form) = form else { return AddonForms::default() };
    AddonForms {
        pdb: form.get("pdb").and_then(|node| pdb(node, sink)),
        monitor: form.get("monitor").and_then(|node| monitor(node, sink)),
    }
}

fn monitor(node: &Node, sink: &mut Sink) -> Option<MonitorForm> {
    let form = Form::of(node, &fields::MONITOR, sink)?;
    let (path, interval) = (form.expression("path", sink), form.expression("interval", sink));
    Some(MonitorForm { enabled: form.expression("enabled", sink), path: path?, interval: interval? })
}

fn pdb(node: &Node, sink: &mut Sink) -> Option<PdbForm> {
    let form = Form::of(node, &fields::PDB, sink)?;
    let budget = match (form.expression("max_unavailable", sink), form.expression("min_available", sink)) {
        (Some(most), None) => counted(most, sink).map(BudgetForm::MaxUnavailable),
        (None, Some(least)) => counted(least, sink).map(BudgetForm::MinAvailable),
        _ => {
            let help = "max_unavailable: '1.0' lets a drained node take one pod of a workload after the other";
            sink.push(node.at.error("pdb needs either `max_unavailable` or `min_available`, pods").help(help));
            None
        }
    };
    let (enabled, from_replicas) = (form.expression("enabled", sink), form.expression("from_replicas", sink));
    Some(PdbForm { enabled, budget: budget?, from_replicas })
}

/// Kubernetes takes shares here too, and people write them.
fn counted(text: Text, sink: &mut Sink) -> Option<Text> {
    if !text.text.trim_end().ends_with('%') {
        return Some(text);
    }
    sink.push(text.at.error("this counts pods, it is no share").help("write a number of pods, such as '1.0'"));
    None
}

impl Addons {
    pub(super) fn compile(forms: &AddonForms, compiler: &mut Compiler<'_>, sink: &mut Sink) -> Option<Self> {
        let AddonForms { pdb, monitor } = forms;
        let pdb = both(pdb.as_ref().map(|form| Pdb::compile(form, compiler, sink)));
        let monitor = both(monitor.as_ref().map(|form| Monitor::compile(form, compiler, sink)));
        Some(Self { pdb: pdb?, monitor: monitor? })
    }

    /// What of it a class gets; the field and reason where that can't be evaluated.
    pub(super) fn shapes(&self, scope: &Scope<'_>) -> Result<AddonShapes, (String, String)> {
        let Self { pdb, monitor } = self;
        let pdb = pdb.as_ref().map_or(Ok(None), |pdb| pdb.shape(scope));
        let monitor = monitor.as_ref().map_or(Ok(None), |monitor| monitor.shape(scope));
        Ok(AddonShapes {
            pdb: pdb.map_err(|(field, reason)| (format!("addons.pdb.{field}"), reason))?,
            monitor: monitor.map_err(|(field, reason)| (format!("addons.monitor.{field}"), reason))?,
        })
    }
}

impl Pdb {
    fn compile(form: &PdbForm, compiler: &mut Compiler<'_>, sink: &mut Sink) -> Option<Self> {
        let enabled = form.enabled.as_ref().map(|text| compiler.condition(text, sink));
        let budget = match &form.budget {
            // None at all would let no drain ever end.
            BudgetForm::MaxUnavailable(text) => compile_pods(text, 1.0, compiler, sink).map(BudgetRule::MaxUnavailable),
            BudgetForm::MinAvailable(text) => compile_pods(text, 0.0, compiler, sink).map(BudgetRule::MinAvailable),
        };
        let from_replicas = form.from_replicas.as_ref().map(|text| compile_pods(text, 0.0, compiler, sink));
        Some(Self { enabled: both(enabled)?, budget: budget?, from_replicas: both(from_replicas)? })
    }

    fn shape(&self, scope: &Scope<'_>) -> Result<Option<PdbShape>, (&'static str, String)> {
        if !scope.enabled(self.enabled.as_ref())? {
            return Ok(None);
        }
        let budget = match &self.budget {
            BudgetRule::MaxUnavailable(most) => {
                Budget::MaxUnavailable(pods(scope, most, 1.0).map_err(|reason| ("max_unavailable", reason))?)
            }
            BudgetRule::MinAvailable(least) => {
                Budget::MinAvailable(pods(scope, least, 0.0).map_err(|reason| ("min_available", reason))?)
            }
        };
        let from_replicas = self.from_replicas.as_ref().map_or(Ok(1), |from| pods(scope, from, 0.0));
        Ok(Some(PdbShape { budget, from_replicas: from_replicas.map_err(|reason| ("from_replicas", reason))? }))
    }
}

impl Monitor {
    fn compile(form: &MonitorForm, compiler: &mut Compiler<'_>, sink: &mut Sink) -> Option<Self> {
        let enabled = form.enabled.as_ref().map(|text| compiler.condition(text, sink));
        let path = compiler.compile(&form.path, &Type::Text, sink);
        let interval = compiler.compile(&spelled(&form.interval), &Type::Duration, sink);
        Some(Self { enabled: both(enabled)?, path: path?, interval: interval? })
    }

    fn shape(&self, scope: &Scope<'_>) -> Result<Option<MonitorShape>, (&'static str, String)> {
        if !scope.enabled(self.enabled.as_ref())? {
            return Ok(None);
        }
        let path = scope.text(&self.path).and_then(is_path).map_err(|reason| ("path", reason))?;
        let interval = scope.duration(&self.interval).map_err(|reason| ("interval", reason))?;
        let seconds = u32::try_from(interval.as_secs()).ok().filter(|seconds| *seconds > 0);
        let interval_seconds = seconds.ok_or_else(|| ("interval", "a second is the shortest interval".to_owned()))?;
        Ok(Some(MonitorShape { path, interval_seconds }))
    }
}

fn is_path(path: String) -> Result<String, String> {
    if path.starts_with('/') { Ok(path) } else { Err(format!("{path:?} is no path: it begins with no slash")) }
}

/// What is not given, or was compiled; `None` where it was given and could not be.
#[expect(clippy::option_option, reason = "given or not, and compiled or not")]
fn both<T>(given: Option<Option<T>>) -> Option<Option<T>> {
    match given {
        None => Some(None),
        Some(compiled) => compiled.map(Some),
    }
}
