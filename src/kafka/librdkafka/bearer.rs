//! The bearer token of OAUTHBEARER: the password, shown to the brokers as it is.
//!
//! librdkafka asks its user for a token when a client starts, and again when four fifths of the token's life are
//! over. A token that came from a file is read from there anew each time, so that whoever renews the file renews
//! the run. (Its own way to fetch tokens, OIDC, needs a library that is not built in.)

use std::{
    ffi::{CStr, CString, c_char, c_void},
    path::Path,
    ptr,
};

use rdkafka::{ClientConfig, bindings as rdk};

use crate::kafka::{ClientError, librdkafka::codes, token};

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
    // SAFETY: librdkafka calls this for a client that is alive.
    let renewed = unsafe { renew(client) };
    token::tell(renewed.as_ref().err());
    if let Err(reason) = renewed {
        let reason = CString::new(reason).unwrap_or_default();
        // SAFETY: as above; the text is copied.
        unsafe { rdk::rd_kafka_oauthbearer_set_token_failure(client, reason.as_ptr()) };
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
            Some(file) => token::read(Path::new(&file))?,
            None => setting(c"sasl.password").unwrap_or_default(),
        };
        let ends = token::life_end(&token)?;
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
