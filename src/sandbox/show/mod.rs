//! What the sandbox shows: rows of the live table, its layout, the summary at the end. Pure, apart from `screen`.

mod row;
mod screen;
mod sizing;
mod style;
mod table;
mod text;
mod timing;

pub use row::{Row, row};
pub use screen::{Screen, fit_terminal};
pub use sizing::{Sizing, sizings};
pub use style::{Style, Tone};
pub use timing::Laps;
