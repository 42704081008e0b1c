//! Class + chosen template -> Kubernetes objects. Pure: the same class and plan give the same bytes.

mod object;

pub use object::{Component, ObjectKind, RenderSettings, Rendered, RenderedFunction, RenderedObject};
