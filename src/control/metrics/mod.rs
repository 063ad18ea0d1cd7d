//! `/metrics`: what a run has done and how it is doing, for Prometheus.
//!
//! Whoever asks pays for it: a scrape reads the counters that the shards publish anyway, and the control thread adds up.

mod accept;
mod catalogue;
mod family;
mod workers;

use axum::{
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};

use self::accept::Format;
use crate::app::Shared;

/// The answer to a scrape, in the format that it asks for.
pub(super) fn answer(shared: &Shared, headers: &HeaderMap) -> Response {
    let format = Format::asked_for(headers);
    match catalogue::of(shared).encode(format) {
        Ok(text) => ([(CONTENT_TYPE, format.content_type())], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

#[cfg(test)]
mod tests;
