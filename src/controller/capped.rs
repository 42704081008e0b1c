//! Classes that a cap keeps from what is recommended for them: found by the NFR loop, told by the reconciler, which writes
//! the condition.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::status::Problem;

/// By UID of the record.
#[derive(Debug, Default)]
pub struct Capped(Mutex<HashMap<String, Problem>>);

impl Capped {
    /// What keeps a class from its target.
    pub fn of(&self, uid: &str) -> Option<Problem> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(uid).cloned()
    }

    /// Notes what keeps a class from its target, or that nothing does; whether that is news.
    pub fn note(&self, uid: &str, problem: Option<&Problem>) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = match problem {
            Some(problem) => all.insert(uid.to_owned(), problem.clone()),
            None => all.remove(uid),
        };
        before.as_ref() != problem
    }

    /// Forgets all but these.
    pub fn retain(&self, is_there: impl Fn(&str) -> bool) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|uid, _| is_there(uid));
    }
}
