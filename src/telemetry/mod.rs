//! Logging (text for people at a terminal, one JSON object a line for everything else) and metrics.

pub mod metrics;

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter does not parse.
    #[error("RUST_LOG={filter}: {source}")]
    Filter {
        /// The filter as given.
        filter: String,
        /// Why.
        source: tracing_subscriber::filter::ParseError,
    },
    /// Someone else did it already.
    #[error("logging is set up already")]
    Again,
}

/// Sets up logging to standard error for the whole process. Spans (and so correlation ids) stand in every line.
pub fn init(filter: &str) -> Result<(), TelemetryError> {
    let parsed =
        EnvFilter::try_new(filter).map_err(|source| TelemetryError::Filter { filter: filter.to_owned(), source })?;
    let base = tracing_subscriber::fmt().with_env_filter(parsed).with_writer(std::io::stderr);
    let done = if std::io::stderr().is_terminal() {
        base.try_init()
    } else {
        base.json().flatten_event(true).with_current_span(false).with_span_list(true).try_init()
    };
    done.map_err(|_| TelemetryError::Again)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_filter_that_does_not_parse_is_named_with_its_variable() {
        let text = init("oprc_crm=loud").unwrap_err().to_string();
        assert!(text.contains("RUST_LOG=oprc_crm=loud"), "{text}");
    }
}
