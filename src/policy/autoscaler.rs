//! What a Template says of a function's autoscaler.

use super::cel::{Expression, Type};
use super::compiler::Compiler;
use super::diagnostic::Sink;
use super::document::AutoscalerForm;
use super::kinds::{compile_pods, pods};
use super::unit::Scope;
use super::units::number;

/// Bounds of the utilisation, percent of the request; above 100 pods use more than was set aside for them.
const UTILIZATION: std::ops::RangeInclusive<f64> = 1.0..=1000.0;

/// The compiled part of a Template.
#[derive(Debug)]
pub(super) struct Autoscaler {
    enabled: Option<Expression>,
    cpu_utilization: Expression,
    max_replicas: Option<Expression>,
}

/// The same, for one class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AutoscalerShape {
    /// CPU that pods should use on average, percent of their request.
    pub cpu_utilization: u32,
    /// Most replicas, whatever the record says.
    pub max_replicas: Option<u32>,
}

impl Autoscaler {
    pub(super) fn compile(form: &AutoscalerForm, compiler: &mut Compiler<'_>, sink: &mut Sink) -> Option<Self> {
        let enabled = form.enabled.as_ref().map(|text| compiler.condition(text, sink));
        let cpu_utilization = compiler.compile(&form.cpu_utilization, &Type::Double, sink);
        if let Some(expression) = &cpu_utilization {
            compiler.fixed_number(&form.cpu_utilization, expression, is_utilization, sink);
        }
        let max_replicas = form.max_replicas.as_ref().map(|text| compile_pods(text, 0.0, compiler, sink));
        Some(Self {
            enabled: match enabled {
                None => None,
                Some(condition) => Some(condition?),
            },
            cpu_utilization: cpu_utilization?,
            max_replicas: match max_replicas {
                None => None,
                Some(number) => Some(number?),
            },
        })
    }

    /// `None` where the class gets none; the field and reason where that can't be evaluated.
    pub(super) fn shape(&self, scope: &Scope<'_>) -> Result<Option<AutoscalerShape>, (&'static str, String)> {
        if !scope.enabled(self.enabled.as_ref())? {
            return Ok(None);
        }
        let cpu_utilization = percent(scope, &self.cpu_utilization).map_err(|reason| ("cpu_utilization", reason))?;
        let most = self.max_replicas.as_ref().map(|most| pods(scope, most, 0.0)).transpose();
        Ok(Some(AutoscalerShape { cpu_utilization, max_replicas: most.map_err(|reason| ("max_replicas", reason))? }))
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be between 1 and 1,000")]
fn percent(scope: &Scope<'_>, expression: &Expression) -> Result<u32, String> {
    let value = scope.number(expression)?;
    is_utilization(value).map(|()| value.round() as u32)
}

fn is_utilization(value: f64) -> Result<(), String> {
    if UTILIZATION.contains(&value) {
        return Ok(());
    }
    Err(format!("{} is not between 1 and 1000 percent", number(value)))
}
