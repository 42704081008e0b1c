//! What a class gets beside its functions. An addon is one entry in [`ALL`]: what its plan is stands in the policy, what
//! it adds stands in its module.

mod collection;
mod monitor;
mod odgm;
mod pdb;

pub use collection::MAX_COLLECTION;
pub use monitor::KNATIVE_SERVICE;
pub use odgm::{ODGM_COLLECTION, ODGM_ENABLED, ODGM_PORT, ODGM_SERVICE};

use super::parts::Part;
use super::{RenderError, RenderSettings, Rendered, RenderedObject};
use crate::decision::TemplatePlan;
use crate::model::Class;

/// All addons, in the order in which their objects are applied.
static ALL: [&(dyn Addon + Sync); 3] = [&odgm::DataGrid, &pdb::Budgets, &monitor::Scraped];

/// What an addon works with.
#[derive(Clone, Copy)]
pub(super) struct Scene<'a> {
    pub class: &'a Class,
    pub plan: &'a TemplatePlan,
    pub settings: &'a RenderSettings,
}

impl<'a> Scene<'a> {
    /// What an object about a workload is called and belongs to: it has the workload's name.
    fn about(&self, workload: &'a RenderedObject) -> Part<'a> {
        let name = workload.name.as_str();
        Part { class: self.class, component: workload.component.clone(), workload: name, service: name }
    }
}

/// An addon. Whether a class gets it, and as what, is for the template's plan to say: one that it leaves out adds nothing.
pub(super) trait Addon {
    /// Its name, as records list it.
    fn name(&self) -> &'static str;

    /// What functions find when they start: variables in their environment, and objects that are applied before them.
    fn beneath(&self, _scene: Scene<'_>) -> Result<Beneath, RenderError> {
        Ok(Beneath::default())
    }

    /// Objects about the workloads, once these are rendered: they are applied after them.
    fn about(&self, _scene: Scene<'_>, _workloads: &[RenderedObject]) -> Result<Vec<RenderedObject>, RenderError> {
        Ok(Vec::new())
    }
}

/// What functions find when they start.
#[derive(Debug, Default)]
pub(super) struct Beneath {
    pub env: Vec<(&'static str, String)>,
    pub objects: Vec<RenderedObject>,
}

/// A variable that an addon gives to every function.
#[derive(Clone, Debug)]
pub(super) struct Injected {
    pub addon: &'static str,
    pub name: &'static str,
    pub value: String,
}

/// What addons have added so far.
#[derive(Debug, Default)]
pub(super) struct Added {
    /// Variables of every function.
    pub env: Vec<Injected>,
    /// Names of the addons that have objects.
    names: Vec<&'static str>,
}

/// Adds what functions find when they start.
pub(super) fn beneath(scene: Scene<'_>, rendered: &mut Rendered) -> Result<Added, RenderError> {
    let mut added = Added::default();
    for addon in ALL {
        let Beneath { env, objects } = addon.beneath(scene)?;
        added.names.extend((!objects.is_empty()).then_some(addon.name()));
        added.env.extend(env.into_iter().map(|(name, value)| Injected { addon: addon.name(), name, value }));
        rendered.objects.extend(objects);
    }
    Ok(added)
}

/// Adds what comes about the workloads, and notes which addons have nothing for the class though it asks for them.
pub(super) fn about(scene: Scene<'_>, mut added: Added, rendered: &mut Rendered) -> Result<(), RenderError> {
    for addon in ALL {
        let objects = addon.about(scene, &rendered.objects)?;
        added.names.extend((!objects.is_empty()).then_some(addon.name()));
        rendered.objects.extend(objects);
    }
    let missing = scene.class.addons.iter().filter(|asked| !added.names.contains(&asked.as_str()));
    rendered.without = missing.cloned().collect();
    rendered.hints =
        scene.plan.monitor.as_ref().and_then(|_| scene.settings.monitors.lack.clone()).into_iter().collect();
    Ok(())
}
