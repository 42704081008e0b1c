//! What enforcement last applied, as the status tells it.

use crate::api::{AppliedRecommendation, EnforcementDimension};
use crate::model::{Applied, AppliedSize, Quantity};

/// What was applied to a function, of the dimensions that its record lists. What can't be read was not applied.
pub(super) fn to(function: &str, all: &[AppliedRecommendation], dimensions: &[EnforcementDimension]) -> Applied {
    let found = |dimension: EnforcementDimension, name: &str| {
        let listed = dimensions.contains(&dimension);
        let one = all.iter().find(|one| listed && one.component == function && one.dimension == name)?;
        let target = Quantity::parse(&one.target).ok()?;
        Some(AppliedSize { target, base: Quantity::parse(one.base.as_deref()?).ok()? })
    };
    Applied {
        cpu_request: found(EnforcementDimension::Cpu, "cpu"),
        memory_request: found(EnforcementDimension::Memory, "memory"),
        min_scale: found(EnforcementDimension::Replicas, "replicas"),
    }
}
