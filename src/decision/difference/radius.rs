//! The blast radius: what a change does to all live classes together.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value, json};

use super::{Cause, Difference, FieldChange};

/// What one class would get that it does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassChange {
    /// Namespace of the record.
    pub namespace: String,
    /// Name of the record.
    pub name: String,
    /// What changes.
    pub difference: Difference,
}

/// The whole effect of a change on the classes that run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlastRadius {
    /// Classes that run.
    pub live: usize,
    changes: Vec<ClassChange>,
    unread: usize,
}

impl BlastRadius {
    /// The effect on `live` classes; `changes` in any order.
    pub fn new(live: usize, mut changes: Vec<ClassChange>) -> Self {
        changes.sort_by(|left, right| (&left.namespace, &left.name).cmp(&(&right.namespace, &right.name)));
        Self { live, changes, unread: 0 }
    }

    /// The same with classes that may change: their records can't be read now, so nobody knows.
    #[must_use]
    pub fn with_unread(self, unread: usize) -> Self {
        Self { unread, ..self }
    }

    /// Classes that may change, because their records can't be read now.
    pub fn unread(&self) -> usize {
        self.unread
    }

    /// Every class that changes, by namespace and name.
    pub fn changes(&self) -> &[ClassChange] {
        &self.changes
    }

    /// Share of the live classes that change or may change, 0 to 1; 0 where nothing runs.
    pub fn share(&self) -> f64 {
        self.share_of(self.changes.len() + self.unread)
    }

    #[expect(clippy::cast_precision_loss, reason = "numbers of classes are small")]
    fn share_of(&self, classes: usize) -> f64 {
        if self.live == 0 { 0.0 } else { classes as f64 / self.live as f64 }
    }

    /// The causes with the number of classes that each changes, most first, then by name.
    pub fn by_rule(&self) -> Vec<(String, usize)> {
        counted(self.changes.iter().map(|one| one.difference.cause.rule.clone()))
    }

    /// The changes with the number of classes that each happens to, most first, then by name.
    pub fn by_change(&self) -> Vec<(String, usize)> {
        counted(self.changes.iter().map(|one| one.difference.change.to_string()))
    }

    /// The effect in one line, such as `80 of 200 classes (40 %) change: template edge -> full (80) by
    /// Template/full/throughput`.
    pub fn summary(&self) -> String {
        let (changed, live) = (self.changes.len(), self.live);
        let perhaps = match self.unread {
            0 => String::new(),
            unread => format!("; {unread} may change: their records can't be read now"),
        };
        if changed == 0 {
            return format!("none of {live} classes changes{perhaps}");
        }
        let (kinds, rules) = (self.by_change(), self.by_rule());
        let list = |all: &[(String, usize)]| {
            let mut parts: Vec<String> = all.iter().take(3).map(|(name, count)| format!("{name} ({count})")).collect();
            if all.len() > 3 {
                parts.push(format!("{} more", all.len() - 3));
            }
            parts.join(", ")
        };
        let percent = (self.share_of(changed) * 1000.0).round() / 10.0;
        format!("{changed} of {live} classes ({percent} %) change: {} by {}{perhaps}", list(&kinds), list(&rules))
    }

    /// The effect as JSON, with at most `examples` classes in full.
    pub fn json(&self, examples: usize) -> Value {
        let counts = |all: Vec<(String, usize)>, key: &str| -> Vec<Value> {
            all.into_iter().map(|(name, classes)| json!({key: name, "classes": classes})).collect()
        };
        let shown: Vec<Value> = self.changes.iter().take(examples).map(one).collect();
        json!({
            "live": self.live, "changed": self.changes.len(), "unread": self.unread, "share": self.share(),
            "by_rule": counts(self.by_rule(), "rule"), "by_change": counts(self.by_change(), "change"),
            "examples": shown,
        })
    }
}

fn counted(names: impl Iterator<Item = String>) -> Vec<(String, usize)> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for name in names {
        *counts.entry(name).or_default() += 1;
    }
    let mut counts: Vec<(String, usize)> = counts.into_iter().collect();
    counts.sort_by(|left, right| right.1.cmp(&left.1).then_with(|| left.0.cmp(&right.0)));
    counts
}

fn one(change: &ClassChange) -> Value {
    let ClassChange { namespace, name, difference: Difference { change, fields, cause } } = change;
    let Cause { rule, before, after, values } = cause;
    let fields: Vec<Value> = fields
        .iter()
        .map(|FieldChange { field, before, after }| json!({"field": field, "before": before, "after": after}))
        .collect();
    let values: Vec<Value> =
        values.iter().map(|value| json!({"name": value.name, "before": value.before, "after": value.after})).collect();
    json!({
        "namespace": namespace, "name": name, "kind": change.kind(), "change": change.to_string(),
        "rule": rule, "before": before, "after": after, "values": values, "fields": fields,
    })
}

impl fmt::Display for BlastRadius {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.summary())?;
        for ClassChange { namespace, name, difference } in &self.changes {
            write!(f, "\n  {namespace}/{name}: {difference}")?;
        }
        Ok(())
    }
}
