//! Holds documents against a JSON schema: the part of draft 2020-12 that ours use.

use std::{fs, path::Path};

use serde_json::Value;

/// A schema, as it lies in `docs/`.
pub struct Schema(Value);

impl Schema {
    pub fn of_reports() -> Self {
        Self::of("docs/report.schema.json")
    }

    pub fn of_benchmarks() -> Self {
        Self::of("docs/bench.schema.json")
    }

    fn of(file: &str) -> Self {
        let text = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).expect("a schema");
        Self(serde_json::from_slice(&text).expect("a schema is JSON"))
    }

    /// The document keeps to it.
    #[track_caller]
    pub fn expect_valid(&self, document: &Value) {
        let mut faults = Vec::new();
        self.check(&self.0, document, "", &mut faults);
        assert!(faults.is_empty(), "{}\nin {document:#}", faults.join("\n"));
    }

    fn check(&self, schema: &Value, value: &Value, place: &str, faults: &mut Vec<String>) {
        let keywords = schema.as_object().expect("a schema is an object");
        for (keyword, rule) in keywords {
            let fits = match keyword.as_str() {
                "$schema" | "title" | "description" | "$defs" => true,
                "$ref" => {
                    let pointer = rule.as_str().and_then(|rule| rule.strip_prefix('#')).expect("a reference");
                    let target = self.0.pointer(pointer).expect("a definition");
                    self.check(target, value, place, faults);
                    true
                }
                "type" => match rule {
                    Value::Array(kinds) => kinds.iter().any(|kind| is_a(kind, value)),
                    kind => is_a(kind, value),
                },
                "const" => value == rule,
                "enum" => rule.as_array().is_some_and(|values| values.contains(value)),
                "minimum" => value.as_f64().is_none_or(|number| Some(number) >= rule.as_f64()),
                "required" => {
                    let names = rule.as_array().expect("names");
                    names.iter().all(|name| {
                        name.as_str().is_some_and(|name| !value.is_object() || value.get(name).is_some())
                    })
                }
                "items" => {
                    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                        self.check(rule, item, &format!("{place}/{index}"), faults);
                    }
                    true
                }
                "properties" => {
                    for (name, rule) in rule.as_object().expect("properties") {
                        if let Some(value) = value.get(name) {
                            self.check(rule, value, &format!("{place}/{name}"), faults);
                        }
                    }
                    true
                }
                "additionalProperties" => self.check_others(schema, rule, value, place, faults),
                "oneOf" => {
                    let fitting = |rule: &&Value| {
                        let mut faults = Vec::new();
                        self.check(rule, value, place, &mut faults);
                        faults.is_empty()
                    };
                    rule.as_array().expect("schemas").iter().filter(fitting).count() == 1
                }
                other => panic!("the schema uses '{other}', which is not looked at here"),
            };
            if !fits {
                faults.push(format!("{place}: {keyword} is {rule}, and here is {value}"));
            }
        }
    }

    fn check_others(
        &self,
        schema: &Value,
        rule: &Value,
        value: &Value,
        place: &str,
        faults: &mut Vec<String>,
    ) -> bool {
        let others = value.as_object().into_iter().flatten();
        let others: Vec<_> = others.filter(|(name, _)| schema["properties"].get(name).is_none()).collect();
        match rule {
            Value::Bool(allowed) => *allowed || others.is_empty(),
            rule => {
                for (name, value) in others {
                    self.check(rule, value, &format!("{place}/{name}"), faults);
                }
                true
            }
        }
    }
}

fn is_a(kind: &Value, value: &Value) -> bool {
    match kind.as_str().expect("a type") {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        kind => panic!("no such type: {kind}"),
    }
}
