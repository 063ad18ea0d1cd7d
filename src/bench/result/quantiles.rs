//! A percentile curve, as OpenMessaging Benchmark writes it.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, MapAccess, Visitor},
};

use crate::stats::LatencyHistogram;

/// Points of the curve between 0 and 50 %, and as many on each half of what is left from there on.
const TICKS_PER_HALF: u32 = 10;

/// Pairs of a percentile (0 to 100) and the latency that so many records do not exceed, percentiles ascending. In JSON an object
/// whose names are the percentiles.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Quantiles(pub Vec<(f64, f64)>);

impl Quantiles {
    /// The curve of a histogram, whose latencies are divided by `unit_us`: 1 for µs, 1,000 for ms.
    #[must_use]
    pub(crate) fn of(histogram: &LatencyHistogram, unit_us: f64) -> Self {
        let point = |(percentile, latency_us): (f64, u64)| (percentile, latency_us as f64 / unit_us);
        Self(histogram.curve(TICKS_PER_HALF).map(point).collect())
    }
}

impl Serialize for Quantiles {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // As Java writes such a number: never without a point.
        serializer
            .collect_map(self.0.iter().map(|(percentile, latency)| (format!("{percentile:?}"), latency)))
    }
}

impl<'de> Deserialize<'de> for Quantiles {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Points;
        impl<'de> Visitor<'de> for Points {
            type Value = Quantiles;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an object whose names are percentiles")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Quantiles, A::Error> {
                let mut points = Vec::new();
                while let Some((name, latency)) = map.next_entry::<String, f64>()? {
                    let percentile: f64 =
                        name.parse().map_err(|_| A::Error::custom(format!("'{name}' is no percentile")))?;
                    points.push((percentile, latency));
                }
                points.sort_by(|one: &(f64, f64), other| one.0.total_cmp(&other.0));
                Ok(Quantiles(points))
            }
        }
        deserializer.deserialize_map(Points)
    }
}
