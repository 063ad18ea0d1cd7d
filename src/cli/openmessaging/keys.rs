//! The keys of a YAML file, each of which is taken once: what nobody takes is not understood.

use std::{fmt::Display, str::FromStr};

use serde_json::{Map, Value};

use super::{super::error::UsageError, Source};

/// What is left of a file.
pub(super) struct Keys<'a> {
    source: &'a Source<'a>,
    left: Map<String, Value>,
    /// What was asked for, for those who have misspelt it.
    known: Vec<&'static str>,
}

impl<'a> Keys<'a> {
    /// Those of a file with this text.
    ///
    /// # Errors
    /// It is not a YAML file of keys and values.
    pub(super) fn of(source: &'a Source<'a>, text: &str) -> Result<Self, UsageError> {
        let document: Value = serde_saphyr::from_str(text)
            .map_err(|error| source.error(format!("it is no YAML: {}", first_line(&error))))?;
        match document {
            Value::Object(left) => Ok(Self { source, left, known: Vec::new() }),
            _ => Err(source.error("it is not a YAML file of keys and values")),
        }
    }

    fn take(&mut self, key: &'static str) -> Option<Value> {
        self.known.push(key);
        self.left.remove(key).filter(|value| !value.is_null())
    }

    /// A text, however it is written.
    ///
    /// # Errors
    /// It is a list, or a map.
    pub(super) fn text(&mut self, key: &'static str) -> Result<Option<String>, UsageError> {
        let Some(value) = self.take(key) else { return Ok(None) };
        scalar(&value).map(Some).ok_or_else(|| self.source.refuses(key, &value.to_string(), "one value"))
    }

    /// A whole number from the least to the most of `range`; `None` where the file has none.
    ///
    /// # Errors
    /// It has another value.
    pub(super) fn whole(&mut self, key: &'static str, range: (u64, u64)) -> Result<Option<u64>, UsageError> {
        self.within(key, range, "a whole number")
    }

    /// A number from the least to the most of `range`; `None` where the file has none.
    ///
    /// # Errors
    /// It has another value.
    pub(super) fn number(&mut self, key: &'static str, range: (f64, f64)) -> Result<Option<f64>, UsageError> {
        self.within(key, range, "a number")
    }

    fn within<N: Copy + FromStr + PartialOrd + Display>(
        &mut self,
        key: &'static str,
        (least, most): (N, N),
        what: &str,
    ) -> Result<Option<N>, UsageError> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        let number = text.parse().ok().filter(|number| (least..=most).contains(number));
        let accepts = || self.source.refuses(key, &text, &format!("{what}, {least} to {most}"));
        number.map(Some).ok_or_else(accepts)
    }

    /// True or false; false where the file has none.
    ///
    /// # Errors
    /// It has another value.
    pub(super) fn flag(&mut self, key: &'static str) -> Result<bool, UsageError> {
        match self.text(key)?.as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => Err(self.source.refuses(key, other, "true or false")),
        }
    }

    /// All has been taken.
    ///
    /// # Errors
    /// There is more: a key that is not understood.
    pub(super) fn finish(self) -> Result<(), UsageError> {
        let Some(key) = self.left.keys().next() else { return Ok(()) };
        Err(self
            .source
            .error(format!("{key}: this key is not understood: accepts {}", self.known.join(", "))))
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        _ => None,
    }
}

/// Behind it stands what the file looks like there.
fn first_line(error: &impl Display) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}
