//! Metrics with their samples, as they are when somebody asks.

use std::{collections::BTreeMap, fmt};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, prometheus_text, text},
    metrics::MetricType,
    registry::{Registry, Unit},
};

use super::accept::Format;
use crate::stats::LatencyBuckets;

/// Before every name.
const PREFIX: &str = "proofload";

/// What kind of number it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It only grows, from 0 at the start of the process.
    Counter,
    /// It goes up and down.
    Gauge,
    /// Latencies by fixed buckets; like a counter.
    Histogram,
}

/// What a metric is, but for its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct About {
    pub(super) kind: Kind,
    /// Without `proofload_`, unit and `_total`.
    pub(super) name: &'static str,
    /// What is counted, the last part of the name; empty for a bare number.
    pub(super) unit: &'static str,
    pub(super) help: &'static str,
}

/// Names and values of labels.
pub(super) type Labels = Vec<(&'static str, String)>;

/// One number, or the numbers of a histogram.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Whole(u64),
    Seconds(f64),
    Number(f64),
    Latencies(LatencyBuckets),
}

/// All metrics of a scrape, by name and unit.
#[derive(Debug, Default)]
pub(super) struct Families(BTreeMap<(&'static str, &'static str), Family>);

#[derive(Debug)]
struct Family {
    about: About,
    samples: Vec<(Labels, Value)>,
}

impl Families {
    /// Adds a sample. Nobody else may have added one with the same labels.
    pub(super) fn add(&mut self, about: About, labels: Labels, value: Value) {
        let family = self.0.entry((about.name, about.unit));
        family.or_insert_with(|| Family { about, samples: Vec::new() }).samples.push((labels, value));
    }

    /// Their text.
    ///
    /// # Errors
    /// None that is known: text is written to memory.
    pub(super) fn encode(self, format: Format) -> Result<String, fmt::Error> {
        let mut registry = Registry::with_prefix(PREFIX);
        registry.register_collector(Box::new(self));
        let mut body = String::new();
        match format {
            Format::Text => prometheus_text::encode(&mut body, &registry)?,
            Format::OpenMetrics => text::encode(&mut body, &registry)?,
        }
        Ok(body)
    }

    /// Each metric's whole name, what it is, and the names of its labels.
    #[cfg(test)]
    pub(super) fn described(&self) -> Vec<(String, About, Vec<&'static str>)> {
        let described = |family: &Family| {
            let About { kind, name, unit, .. } = family.about;
            let parts = [PREFIX, name, unit, if kind == Kind::Counter { "total" } else { "" }];
            let name = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("_");
            let labels = family.samples.iter().max_by_key(|(labels, _)| labels.len());
            let labels = labels.iter().flat_map(|(labels, _)| labels.iter().map(|(name, _)| *name));
            (name, family.about, labels.collect())
        };
        self.0.values().map(described).collect()
    }
}

impl Collector for Families {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        for Family { about, samples } in self.0.values() {
            let unit = match about.unit {
                "" => None,
                "bytes" => Some(Unit::Bytes),
                "seconds" => Some(Unit::Seconds),
                other => Some(Unit::Other(other.to_owned())),
            };
            let kind = match about.kind {
                Kind::Counter => MetricType::Counter,
                Kind::Gauge => MetricType::Gauge,
                Kind::Histogram => MetricType::Histogram,
            };
            let mut metric = encoder.encode_descriptor(about.name, about.help, unit.as_ref(), kind)?;
            for (labels, value) in samples {
                encode_value(metric.encode_family(labels)?, about.kind, value)?;
            }
        }
        Ok(())
    }
}

fn encode_value(mut encoder: MetricEncoder<'_>, kind: Kind, value: &Value) -> Result<(), fmt::Error> {
    match (kind, value) {
        (Kind::Counter, Value::Whole(count)) => encoder.encode_counter::<NoLabelSet, _, f64>(count, None),
        (Kind::Counter, Value::Seconds(number) | Value::Number(number)) => {
            encoder.encode_counter::<NoLabelSet, _, f64>(number, None)
        }
        (_, Value::Whole(count)) => encoder.encode_gauge(count),
        (_, Value::Seconds(number) | Value::Number(number)) => encoder.encode_gauge(number),
        (_, Value::Latencies(LatencyBuckets { counts, sum_us })) => {
            let buckets: Vec<_> = counts.iter().map(|(bound_us, count)| (bound_us / 1e6, *count)).collect();
            let count = buckets.iter().map(|(_, count)| count).sum();
            encoder.encode_histogram::<NoLabelSet>(*sum_us as f64 / 1e6, count, &buckets, None)
        }
    }
}
