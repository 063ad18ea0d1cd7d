//! The bearer token of OAUTHBEARER: the password, shown to the brokers as it is.
//!
//! librdkafka asks its user for a token when a client starts, and again when four fifths of the token's life are
//! over. A token that came from a file is read from there anew each time, so that whoever renews the file renews
//! the run. (Its own way to fetch tokens, OIDC, needs a library that is not built in.)

use std::{
    ffi::{CStr, CString, c_char, c_void},
    fs, ptr,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::{Duration, UNIX_EPOCH},
};

use rdkafka::{ClientConfig, bindings as rdk};
use serde::Deserialize;

use crate::kafka::{ClientError, librdkafka::codes};

/// The life of a token that does not say when it ends: nobody asks for another.
const FOR_EVER: Duration = Duration::from_hours(24 * 365 * 10);

/// Room for librdkafka's words.
const TEXT_BYTES: usize = 512;

/// Whether the token of this client is ours to provide. A user who has configured a way of his own has no password.
pub(crate) fn is_wanted(config: &ClientConfig) -> bool {
    config.get("sasl.mechanism") == Some("OAUTHBEARER") && config.get("sasl.password").is_some()
}

/// Has the client ask for its tokens here.
///
/// # Safety
/// The configuration is alive.
pub(crate) unsafe fn prepare(conf: *mut rdk::rd_kafka_conf_t) {
    // SAFETY: the caller's promise; the callback is a function and lives for ever.
    unsafe {
        rdk::rd_kafka_conf_set_oauthbearer_token_refresh_cb(conf, Some(refresh));
        // Not on the queue that the client's owner polls: it may be busy elsewhere.
        rdk::rd_kafka_conf_enable_sasl_queue(conf, 1);
    }
}

/// Gives a client its first token, and lets it ask for more on a thread of its own.
///
/// # Safety
/// The client is alive, and was made of a configuration that went through [`prepare`].
///
/// # Errors
/// There is no token that can be used.
pub(crate) unsafe fn provide(client: *mut rdk::rd_kafka_t) -> Result<(), ClientError> {
    // SAFETY: the caller's promise; the error is ours, and null is taken by destroy.
    unsafe {
        rdk::rd_kafka_error_destroy(rdk::rd_kafka_sasl_background_callbacks_enable(client));
        renew(client).map_err(ClientError::Token)
    }
}

/// Called on a thread of librdkafka's.
unsafe extern "C" fn refresh(client: *mut rdk::rd_kafka_t, _config: *const c_char, _opaque: *mut c_void) {
    /// Every client asks, and asks again every few seconds: one of them tells, once.
    static TOLD: AtomicBool = AtomicBool::new(false);
    // SAFETY: librdkafka calls this for a client that is alive.
    match unsafe { renew(client) } {
        Ok(()) => {
            if TOLD.swap(false, Relaxed) {
                tracing::info!("there is a usable bearer token again");
            }
        }
        Err(reason) => {
            if !TOLD.swap(true, Relaxed) {
                tracing::warn!("no new bearer token: {reason}");
            }
            let reason = CString::new(reason).unwrap_or_default();
            // SAFETY: as above; the text is copied.
            unsafe { rdk::rd_kafka_oauthbearer_set_token_failure(client, reason.as_ptr()) };
        }
    }
}

/// Sets the token as it is now.
///
/// # Safety
/// The client is alive.
unsafe fn renew(client: *mut rdk::rd_kafka_t) -> Result<(), String> {
    // SAFETY: the caller's promise. The three texts are NUL-terminated, live for the call and are copied by it; there
    // are no extensions, and the buffer has the size that is given.
    unsafe {
        let setting = |name: &CStr| setting(client, name);
        let token = match setting(c"sasl.oauthbearer.config").filter(|file| !file.is_empty()) {
            Some(file) => read(&file)?,
            None => setting(c"sasl.password").unwrap_or_default(),
        };
        let ends = life_end(&token)?;
        let principal = CString::new(setting(c"sasl.username").unwrap_or_default()).unwrap_or_default();
        let token = CString::new(token).map_err(|_| "it contains a NUL".to_owned())?;
        let mut text = [0; TEXT_BYTES];
        let code = rdk::rd_kafka_oauthbearer_set_token(
            client,
            token.as_ptr(),
            i64::try_from(ends.as_millis()).unwrap_or(i64::MAX),
            principal.as_ptr(),
            ptr::null_mut(),
            0,
            text.as_mut_ptr(),
            text.len(),
        );
        codes::check(code).map_err(|_| CStr::from_ptr(text.as_ptr()).to_string_lossy().into_owned())
    }
}

/// The value of a client's setting.
///
/// # Safety
/// The client is alive.
unsafe fn setting(client: *mut rdk::rd_kafka_t, name: &CStr) -> Option<String> {
    let mut size = 0;
    // SAFETY: the caller's promise; the first call asks for the size alone, the second writes so many bytes at most.
    let bytes = unsafe {
        let conf = rdk::rd_kafka_conf(client);
        let known = rdk::rd_kafka_conf_res_t::RD_KAFKA_CONF_OK;
        if rdk::rd_kafka_conf_get(conf, name.as_ptr(), ptr::null_mut(), &raw mut size) != known {
            return None;
        }
        let mut bytes = vec![0_u8; size];
        if rdk::rd_kafka_conf_get(conf, name.as_ptr(), bytes.as_mut_ptr().cast(), &raw mut size) != known {
            return None;
        }
        bytes
    };
    CStr::from_bytes_until_nul(&bytes).ok().map(|text| text.to_string_lossy().into_owned())
}

fn read(file: &str) -> Result<String, String> {
    let text = fs::read_to_string(file).map_err(|error| format!("{file} cannot be read: {error}"))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// The part of a JSON web token's claims that is looked at (RFC 7519).
#[derive(Deserialize)]
struct Claims {
    /// Seconds since the epoch, fractions allowed.
    exp: f64,
}

/// When the token ends, since the epoch.
fn life_end(token: &str) -> Result<Duration, String> {
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
    serde_json::from_slice(&base64url(claims)?).ok()
}

/// Base 64 with the alphabet for URLs, without padding (RFC 4648, section 5).
fn base64url(text: &str) -> Option<Vec<u8>> {
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0_u32, 0);
    for digit in text.bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.extend((bits >> count).to_le_bytes().first());
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64url_is_read() {
        assert_eq!(base64url("eyJleHAiOjF9").as_deref(), Some(&br#"{"exp":1}"#[..]));
        assert_eq!(base64url("_-8").as_deref(), Some(&[0xff, 0xef][..]));
        assert_eq!(base64url("a+b"), None);
    }

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
