//! The table that `oprc-crm run --print-config` shows.

use super::{Config, Setting};

/// Renders every variable with its value in effect, its origin and what to know about it, aligned.
pub fn render(config: &Config) -> String {
    let settings = config.settings();
    let shown =
        |setting: &Setting| setting.value.clone().filter(|value| !value.is_empty()).unwrap_or_else(|| "-".to_owned());
    let names = settings.iter().map(|setting| setting.name.len()).max().unwrap_or_default();
    let values = settings.iter().map(|setting| shown(setting).chars().count()).max().unwrap_or_default().clamp(5, 48);
    let mut table = format!("{:names$}  {:values$}  ORIGIN\n", "VARIABLE", "VALUE");
    for setting in settings {
        let note = setting.note.map(|note| format!("  # {note}")).unwrap_or_default();
        let line = format!("{:names$}  {:values$}  {:11}{note}", setting.name, shown(setting), setting.origin);
        table.push_str(line.trim_end());
        table.push('\n');
    }
    table
}
