//! Numbers in JSON that come back to the last bit. What is no finite number has no form there, so it is a word.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A number in its JSON form.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Form {
    Number(f64),
    Word(String),
}

impl From<f64> for Form {
    fn from(value: f64) -> Self {
        if value.is_finite() { Self::Number(value) } else { Self::Word(value.to_string()) }
    }
}

impl TryFrom<Form> for f64 {
    type Error = String;

    fn try_from(form: Form) -> Result<Self, String> {
        match form {
            Form::Number(value) => Ok(value),
            Form::Word(word) => {
                let value = word.parse().ok().filter(|value: &Self| !value.is_finite());
                value.ok_or_else(|| format!("{word:?} is no number: write one, or NaN, inf or -inf"))
            }
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives the field")]
pub(super) fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    Form::from(*value).serialize(serializer)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    f64::try_from(Form::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}

/// A number that may be absent.
pub(super) mod optional {
    use super::{Deserialize, Deserializer, Form, Serialize, Serializer};

    #[expect(clippy::ref_option, reason = "serde gives the field")]
    pub(in crate::decision::nfr) fn serialize<S: Serializer>(
        value: &Option<f64>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        value.map(Form::from).serialize(serializer)
    }

    pub(in crate::decision::nfr) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<f64>, D::Error> {
        let form = Option::<Form>::deserialize(deserializer)?;
        form.map(f64::try_from).transpose().map_err(serde::de::Error::custom)
    }
}

/// A number that may be absent, and since when it is there.
pub(super) mod dated {
    use jiff::Timestamp;

    use super::{Deserialize, Deserializer, Form, Serialize, Serializer};

    #[expect(clippy::ref_option, reason = "serde gives the field")]
    pub(in crate::decision::nfr) fn serialize<S: Serializer>(
        value: &Option<(f64, Timestamp)>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        value.map(|(value, at)| (Form::from(value), at)).serialize(serializer)
    }

    pub(in crate::decision::nfr) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<(f64, Timestamp)>, D::Error> {
        let form = Option::<(Form, Timestamp)>::deserialize(deserializer)?;
        let value = form.map(|(form, at)| Ok((f64::try_from(form)?, at))).transpose();
        value.map_err(|error: String| serde::de::Error::custom(error))
    }
}
