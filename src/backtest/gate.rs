//! A condition over figures that a change must not meet.

use cel_interpreter::{Context, Program, Value};

use super::Figures;

/// Longest condition, bytes: enough for anybody, too short for one that nests without end.
const LONGEST: usize = 1000;

/// A condition over figures, in CEL: `candidate.violation_minutes > base.violation_minutes`.
#[derive(Debug)]
pub struct Gate {
    text: String,
    program: Program,
}

/// Why a condition can't be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GateError {
    /// It does not parse.
    #[error("{0:?} is no condition: {1}")]
    Syntax(String, String),
    /// It can't be evaluated.
    #[error("{0:?} can't be evaluated: {1}; there are candidate.NAME, base.NAME, hpa.NAME and fixed.NAME with {2}")]
    Evaluation(String, String, String),
    /// It is neither true nor false.
    #[error("{0:?} is neither true nor false")]
    NoCondition(String),
}

impl Gate {
    /// Reads a condition.
    pub fn new(text: &str) -> Result<Self, GateError> {
        if text.len() > LONGEST {
            let short: String = text.chars().take(40).collect();
            return Err(GateError::Syntax(short, format!("it is longer than {LONGEST} bytes")));
        }
        let program = Program::compile(text);
        let program = program.map_err(|error| {
            // What follows draws the place.
            let first = error.to_string().lines().next().unwrap_or_default().to_owned();
            GateError::Syntax(text.to_owned(), first)
        })?;
        Ok(Self { text: text.to_owned(), program })
    }

    /// The condition, as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it holds for figures by the names of what they are of.
    pub fn holds(&self, figures: &[(&str, &Figures)]) -> Result<bool, GateError> {
        let mut context = Context::default();
        for (name, figures) in figures {
            let fields = Figures::NAMES.iter().zip(figures.values());
            let fields: std::collections::HashMap<String, Value> =
                fields.map(|((field, _), value)| ((*field).to_owned(), Value::Float(value))).collect();
            context.add_variable_from_value(*name, fields);
        }
        match self.program.execute(&context) {
            Ok(Value::Bool(holds)) => Ok(holds),
            Ok(_) => Err(GateError::NoCondition(self.text.clone())),
            Err(error) => {
                let names = Figures::NAMES.map(|(name, _)| name).join(", ");
                Err(GateError::Evaluation(self.text.clone(), error.to_string(), names))
            }
        }
    }
}
