//! Reading the fields of a document, with every fault reported and none stopping the rest.

use super::diagnostic::{Sink, YAML, nearest};
use super::fields::Fields;
use super::yaml::{Node, Place, SIGN, Text, Value};

/// The fields of one map.
pub(crate) struct Form<'a> {
    at: &'a Place,
    what: String,
    fields: &'a [(Text, Node)],
}

impl<'a> Form<'a> {
    /// Opens a map of these fields; reports what is none, every field that is not known, and those that are missing.
    pub(crate) fn of(node: &'a Node, fields: &Fields, sink: &mut Sink) -> Option<Self> {
        Self::named(node, fields, fields.what, sink)
    }

    /// The same, under a name of its own in messages.
    pub(crate) fn named(node: &'a Node, fields: &Fields, what: &str, sink: &mut Sink) -> Option<Self> {
        let known: Vec<&str> = fields.names().collect();
        let form = Self::open(node, what, &known, sink)?;
        for field in fields.all.iter().filter(|field| field.required) {
            form.need(field.name, sink);
        }
        Some(form)
    }

    /// Opens a map; reports what is none, and every field that is not known.
    pub(crate) fn open(node: &'a Node, what: &str, known: &[&str], sink: &mut Sink) -> Option<Self> {
        let Value::Map(fields) = &node.value else {
            let message = format!("{what} must be a map, this is {}", node.value.describe());
            sink.push(node.at.error(message).help(format!("fields: {}", known.join(", "))));
            return None;
        };
        for (key, _) in fields {
            // YAML has a use for it, documents have none: what follows would be lost.
            if key.at.behind().trim_start().strip_prefix(':').is_some_and(|value| value.trim_start().starts_with('!')) {
                let message = format!("the value of `{}` begins with `!`, which is a tag in YAML", key.text);
                sink.push(key.at.error(message).topic(YAML).help(SIGN));
            }
            if !known.contains(&key.text.as_str()) {
                let help = match nearest(&key.text, known.iter().copied()) {
                    Some(name) => format!("did you mean `{name}`?"),
                    None => format!("fields: {}", known.join(", ")),
                };
                sink.push(key.at.error(format!("{what} has no field `{}`", key.text)).help(help));
            }
        }
        Some(Self { at: &node.at, what: what.to_owned(), fields })
    }

    pub(crate) fn get(&self, name: &str) -> Option<&'a Node> {
        self.fields
            .iter()
            .find(|(key, _)| key.text == name)
            .map(|(_, node)| node)
            .filter(|node| !matches!(node.value, Value::Null))
    }

    /// A field that must be there.
    pub(crate) fn need(&self, name: &str, sink: &mut Sink) -> Option<&'a Node> {
        let node = self.get(name);
        if node.is_none() {
            sink.push(self.at.error(format!("{} needs the field `{name}`", self.what)));
        }
        node
    }

    pub(crate) fn text(&self, name: &str, sink: &mut Sink) -> Option<Text> {
        text(self.get(name)?, name, sink)
    }

    pub(crate) fn need_text(&self, name: &str, sink: &mut Sink) -> Option<Text> {
        text(self.need(name, sink)?, name, sink)
    }

    /// A CEL expression; numbers and booleans may stand without quotes.
    pub(crate) fn expression(&self, name: &str, sink: &mut Sink) -> Option<Text> {
        expression(self.get(name)?, name, sink)
    }

    pub(crate) fn number(&self, name: &str, sink: &mut Sink) -> Option<(f64, Place)> {
        let node = self.get(name)?;
        match node.value {
            Value::Number(value) if value.is_finite() => Some((value, node.at.clone())),
            _ => {
                sink.push(node.at.error(format!("`{name}` must be a number, this is {}", node.value.describe())));
                None
            }
        }
    }

    pub(crate) fn flag(&self, name: &str, sink: &mut Sink) -> Option<bool> {
        let node = self.get(name)?;
        if let Value::Bool(value) = node.value {
            return Some(value);
        }
        sink.push(node.at.error(format!("`{name}` must be true or false, this is {}", node.value.describe())));
        None
    }

    pub(crate) fn list(&self, name: &str, sink: &mut Sink) -> &'a [Node] {
        match self.get(name) {
            None => &[],
            Some(node) => list(node, name, sink),
        }
    }

    pub(crate) fn texts(&self, name: &str, sink: &mut Sink) -> Vec<Text> {
        self.list(name, sink).iter().filter_map(|item| text(item, name, sink)).collect()
    }

    /// The entries of a map whose keys are free.
    pub(crate) fn entries(&self, name: &str, sink: &mut Sink) -> &'a [(Text, Node)] {
        match self.get(name) {
            None => &[],
            Some(node) => entries(node, name, sink),
        }
    }
}

pub(crate) fn entries<'a>(node: &'a Node, name: &str, sink: &mut Sink) -> &'a [(Text, Node)] {
    match &node.value {
        Value::Map(entries) => entries,
        other => {
            sink.push(node.at.error(format!("`{name}` must be a map, this is {}", other.describe())));
            &[]
        }
    }
}

pub(crate) fn list<'a>(node: &'a Node, name: &str, sink: &mut Sink) -> &'a [Node] {
    match &node.value {
        Value::List(items) => items,
        other => {
            sink.push(node.at.error(format!("`{name}` must be a list, this is {}", other.describe())));
            &[]
        }
    }
}

pub(crate) fn text(node: &Node, name: &str, sink: &mut Sink) -> Option<Text> {
    if let Value::Text(text) = &node.value {
        return Some(Text { text: text.clone(), at: node.at.clone() });
    }
    sink.push(node.at.error(format!("`{name}` must be a text, this is {}", node.value.describe())));
    None
}

pub(crate) fn expression(node: &Node, name: &str, sink: &mut Sink) -> Option<Text> {
    let text = match &node.value {
        Value::Text(text) => text.clone(),
        Value::Bool(value) => value.to_string(),
        Value::Number(value) => format!("{value:?}"),
        other => {
            let message = format!("`{name}` must be a CEL expression in quotes, this is {}", other.describe());
            sink.push(node.at.error(message));
            return None;
        }
    };
    Some(Text { text, at: node.at.clone() })
}

/// Names of documents, rules, params and variables: what CEL and metric labels take.
pub(crate) fn check_name(name: &Text, what: &str, dashes: bool, sink: &mut Sink) {
    let mut bytes = name.text.bytes();
    let first = bytes.next().is_some_and(|b| b.is_ascii_lowercase());
    let rest = bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == if dashes { b'-' } else { b'_' });
    if !first || !rest || name.text.len() > 63 {
        let sign = if dashes { '-' } else { '_' };
        let help = format!("use 1 to 63 of a-z, 0-9 and {sign}, starting with a letter");
        sink.push(name.at.error(format!("{:?} is no name for {what}", name.text)).help(help));
    }
}
