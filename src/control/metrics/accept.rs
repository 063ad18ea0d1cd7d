//! In which of the two text formats a scrape wants its answer.

use axum::http::{HeaderMap, header::ACCEPT};

const OPENMETRICS: &str = "application/openmetrics-text";
const TEXT: [&str; 3] = ["text/plain", "text/*", "*/*"];

/// A text format of Prometheus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// The old one, which every tool reads.
    Text,
    /// `OpenMetrics` 1.0, for those who name it and like it no less.
    OpenMetrics,
}

impl Format {
    /// What these headers ask for: by weight (`q`), and the plain text where nothing is said.
    pub(super) fn asked_for(headers: &HeaderMap) -> Self {
        let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let (mut openmetrics, mut text) = (0.0, 0.0);
        for range in values.flat_map(|value| value.split(',')) {
            let mut parts = range.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default();
            let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(Ok(1.0), str::parse);
            let weight: f64 = weight.unwrap_or(0.0);
            if name.eq_ignore_ascii_case(OPENMETRICS) {
                openmetrics = f64::max(openmetrics, weight);
            } else if TEXT.iter().any(|text| name.eq_ignore_ascii_case(text)) {
                text = f64::max(text, weight);
            }
        }
        if openmetrics > 0.0 && openmetrics >= text { Self::OpenMetrics } else { Self::Text }
    }

    /// Its name in an answer.
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openmetrics_is_for_those_who_ask_for_it() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,\
                          application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        let asked = [
            (prometheus, Format::OpenMetrics),
            ("application/openmetrics-text", Format::OpenMetrics),
            ("Application/OpenMetrics-Text; version=1.0.0", Format::OpenMetrics),
            ("text/plain;q=0.3, application/openmetrics-text;q=0.3", Format::OpenMetrics),
            ("*/*", Format::Text),
            ("", Format::Text),
            ("text/html,application/xhtml+xml;q=0.9,*/*;q=0.8", Format::Text),
            ("text/plain;version=0.0.4,application/openmetrics-text;q=0.9", Format::Text),
            ("application/openmetrics-text;q=0", Format::Text),
            ("application/openmetrics-text;q=much", Format::Text),
        ];
        for (accept, format) in asked {
            let headers = [(ACCEPT, accept.parse().unwrap())].into_iter().collect();
            assert_eq!(Format::asked_for(&headers), format, "{accept}");
        }
        assert_eq!(Format::asked_for(&HeaderMap::new()), Format::Text);
    }
}
