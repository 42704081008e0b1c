//! The figures that criterion leaves behind.

use std::error::Error;
use std::path::Path;

/// Median time of one run, nanoseconds.
pub fn median(dir: &Path, name: &str) -> Result<f64, Box<dyn Error>> {
    let path = dir.join(name).join("new/estimates.json");
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let estimates: serde_json::Value = serde_json::from_str(&text)?;
    let median = estimates.pointer("/median/point_estimate").and_then(serde_json::Value::as_f64);
    median.ok_or_else(|| format!("{}: has no median", path.display()).into())
}
