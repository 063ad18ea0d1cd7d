//! Bearer tokens: where they come from, and how long they live. They are shown to the brokers as they are.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::{Duration, UNIX_EPOCH},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;

/// The life of a token that does not say when it ends: nobody asks for another.
const FOR_EVER: Duration = Duration::from_hours(24 * 365 * 10);

/// Tells what has become of looking for a new token. Every client looks, and looks again every few seconds: one of them
/// tells, once.
pub(crate) fn tell(failure: Option<&String>) {
    static TOLD: AtomicBool = AtomicBool::new(false);
    match failure {
        None if TOLD.swap(false, Relaxed) => tracing::info!("there is a usable bearer token again"),
        Some(reason) if !TOLD.swap(true, Relaxed) => tracing::warn!("no new bearer token: {reason}"),
        _ => {}
    }
}

/// The token in a file, without the line's end.
///
/// # Errors
/// In words: the file cannot be read.
pub(crate) fn read(file: &Path) -> Result<String, String> {
    let text =
        fs::read_to_string(file).map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// The part of a JSON web token's claims that is looked at (RFC 7519).
#[derive(Deserialize)]
struct Claims {
    /// Seconds since the epoch, fractions allowed.
    exp: f64,
}

/// When a token ends, since the epoch.
///
/// # Errors
/// In words: it has.
pub(crate) fn life_end(token: &str) -> Result<Duration, String> {
    let now = UNIX_EPOCH.elapsed().unwrap_or_default();
    let Some(Claims { exp }) = claims(token) else { return Ok(now + FOR_EVER) };
    let ends = Duration::try_from_secs_f64(exp).unwrap_or_default().min(now + FOR_EVER);
    if ends <= now {
        return Err(format!("it expired {} s ago", now.saturating_sub(ends).as_secs()));
    }
    Ok(ends)
}

/// The claims of a token that is a JSON web token; another kind is the brokers' to understand.
fn claims(token: &str) -> Option<Claims> {
    let mut parts = token.split('.');
    let (_header, claims) = (parts.next()?, parts.next()?);
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_ends_when_it_says_so() {
        let now = UNIX_EPOCH.elapsed().unwrap();
        // {"exp":4102444800}, which is the year 2100, more than ten years from now; {"exp":1}
        let until_2100 = life_end("e30.eyJleHAiOjQxMDI0NDQ4MDB9.").unwrap();
        assert!(until_2100 <= now + FOR_EVER * 2);
        assert!(life_end("e30.eyJleHAiOjF9.").unwrap_err().starts_with("it expired "));
    }

    #[test]
    fn a_token_of_another_kind_is_good_for_ever() {
        let now = UNIX_EPOCH.elapsed().unwrap();
        for token in ["opaque", "a.b.c", "e30.e30.x", ""] {
            assert!(life_end(token).unwrap() >= now + FOR_EVER, "{token}");
        }
    }
}
