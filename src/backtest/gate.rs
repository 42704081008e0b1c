//! A condition over figures that a change must not meet.

use super::Figures;
use crate::policy::Condition;

/// Longest condition, bytes: enough for anybody.
const LONGEST: usize = 1000;
/// What stands before the name of a figure that is the highest of all classes rather than that of all together.
const WORST: &str = "worst_";

/// A condition over figures, in CEL: `candidate.violation_minutes > base.violation_minutes`. It is written like one of a
/// policy, and checked and limited like one: before anything is played it is known that it can be asked.
#[derive(Debug)]
pub struct Gate {
    text: String,
    sides: Vec<String>,
    condition: Condition,
}

/// What a condition comes to.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Whether it holds.
    pub holds: bool,
    /// The figures that it reads.
    pub figures: Vec<(String, f64)>,
}

/// Why a condition can't be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GateError {
    /// It is none, or reads what isn't there.
    #[error("{0:?} is no condition: {1}")]
    Unfit(String, String),
    /// It can't be evaluated.
    #[error("{0:?} can't be evaluated: {1}")]
    Evaluation(String, String),
}

impl Gate {
    /// Reads a condition over the figures of what decides, such as `candidate` and `hpa`. Where there is no base, it says how to
    /// have one.
    pub fn new(text: &str, sides: &[&str]) -> Result<Self, GateError> {
        if text.len() > LONGEST {
            let short: String = text.chars().take(40).collect();
            return Err(GateError::Unfit(short, format!("it is longer than {LONGEST} bytes")));
        }
        let condition = Condition::new(text, paths(sides).collect(), &[("base", "name another bundle with --base")]);
        let condition = condition.map_err(|what| GateError::Unfit(text.to_owned(), what))?;
        Ok(Self { text: text.to_owned(), sides: sides.iter().map(|side| (*side).to_owned()).collect(), condition })
    }

    /// The condition, as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it holds for the figures of each class, by the names of what decided; and what those are that it reads.
    pub fn ask(&self, played: &[(&str, Vec<&Figures>)]) -> Result<Outcome, GateError> {
        let of = |side: &String| played.iter().find(|(name, _)| name == side).map_or(&[][..], |(_, all)| all);
        let numbers: Vec<f64> = self.sides.iter().flat_map(|side| values(of(side))).collect();
        let wrong = |what: String| GateError::Evaluation(self.text.clone(), what);
        let holds = self.condition.holds(&numbers).map_err(wrong)?;
        let figures =
            paths(&self.sides).zip(numbers).filter(|(path, _)| self.condition.reads().contains(path)).collect();
        Ok(Outcome { holds, figures })
    }
}

/// Paths of the figures of all that decide, in their order.
fn paths<S: AsRef<str>>(sides: &[S]) -> impl Iterator<Item = String> {
    sides.iter().flat_map(|side| names().map(move |name| format!("{}.{name}", side.as_ref())))
}

/// Names of the figures of one that decides: of all classes together, then the highest of any class.
fn names() -> impl Iterator<Item = String> {
    let of = |before: &'static str| Figures::NAMES.iter().map(move |(name, _)| format!("{before}{name}"));
    of("").chain(of(WORST))
}

/// The figures in the order of their names.
fn values(classes: &[&Figures]) -> Vec<f64> {
    let total = classes.iter().fold(Figures::default(), |sum, one| sum.plus(one)).values();
    let highest = |mut most: [f64; Figures::NAMES.len()], one: &&Figures| {
        most.iter_mut().zip(one.values()).for_each(|(most, value)| *most = most.max(value));
        most
    };
    let worst = classes.iter().fold([0.0; Figures::NAMES.len()], highest);
    total.into_iter().chain(worst).collect()
}
