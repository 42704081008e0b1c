//! Class + chosen template -> Kubernetes objects. Pure: the same class and plan give the same bytes.

mod object;

pub use object::{Component, ObjectKind, RenderSettings, Rendered, RenderedFunction, RenderedObject};
/// TEMP
#[derive(Debug, thiserror::Error)]
#[error("x")]
pub struct RenderError;
/// TEMP
pub fn render(
    _: &crate::model::Class,
    _: &crate::decision::TemplatePlan,
    _: &RenderSettings,
) -> Result<Rendered, RenderError> {
    Err(RenderError)
}
