//! Who may use the control port.
//!
//! A page in somebody's browser can send requests to a port on that person's machine.
//! Scripts and harnesses send no `Origin`, and on loopback they name the host by its
//! address; a request that looks like a browser's on behalf of another site is refused.

use std::net::IpAddr;

use axum::{
    extract::{Request, State},
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{AUTHORIZATION, HOST, ORIGIN},
    },
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::config::Secret;

const NO_HOST_OF_OURS: &str =
    "the Host header is no address, no name of this host, and none that --allow-host lists\n";

/// Where the page is.
const PAGE: &str = "/";

/// What a request must bring.
#[derive(Clone, Debug, Default)]
pub(super) struct Guard {
    /// This machine's name, and those that the user has listed; `None`: whatever it is called by.
    hosts: Option<Vec<String>>,
    /// The bearer token that every request must carry, if one was set.
    token: Option<Secret>,
}

impl Guard {
    /// A port on loopback is called by few names. One that other machines reach may have any: harnesses use those of
    /// their inventories, which the machine need not know.
    pub(super) fn new(token: Option<Secret>, allowed_hosts: &[String], bind: IpAddr) -> Self {
        if allowed_hosts.is_empty() && !bind.is_loopback() {
            return Self { hosts: None, token };
        }
        let hostname = nix::unistd::gethostname().unwrap_or_default().to_string_lossy().into_owned();
        let hosts = allowed_hosts.iter().cloned().chain([hostname]).filter(|name| !name.is_empty());
        Self { hosts: Some(hosts.collect()), token }
    }

    /// Why the request is refused; `None` when it may pass.
    ///
    /// The page is shown without a token: it has no data, and asks for one before it shows any.
    fn refusal(&self, path: &str, headers: &HeaderMap) -> Option<(StatusCode, &'static str)> {
        if headers.contains_key(ORIGIN) || is_cross_site(headers) {
            return Some((StatusCode::FORBIDDEN, "requests from web pages are refused\n"));
        }
        if !headers.get(HOST).is_none_or(|host| host.to_str().is_ok_and(|host| self.knows(host))) {
            return Some((StatusCode::FORBIDDEN, NO_HOST_OF_OURS));
        }
        let token = self.token.as_ref().filter(|_| path != PAGE)?;
        let sent = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let sent = sent.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or("");
        let refused = (StatusCode::UNAUTHORIZED, "the bearer token of --token-file is required\n");
        (!same(sent.as_bytes(), token.reveal().as_bytes())).then_some(refused)
    }

    /// Whether a `Host` value (with or without port) is an address, localhost, this host or one that is listed.
    fn knows(&self, host: &str) -> bool {
        let Some(hosts) = &self.hosts else { return true };
        let name = match host.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or(rest),
            None => host.rsplit_once(':').map_or(host, |(name, _)| name),
        };
        name.parse::<IpAddr>().is_ok()
            || name.eq_ignore_ascii_case("localhost")
            || hosts.iter().any(|host| name.eq_ignore_ascii_case(host))
    }
}

fn is_cross_site(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    !matches!(site, None | Some(b"none" | b"same-origin"))
}

/// Compares without telling by its time how much was right.
fn same(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len() && left.iter().zip(right).fold(0, |seen, (a, b)| seen | (a ^ b)) == 0
}

/// Lets a request through, or answers it with the reason why not.
pub(super) async fn check(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    match guard.refusal(request.uri().path(), request.headers()) {
        Some(refusal) => refusal.into_response(),
        None => next.run(request).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(token: Option<&str>, headers: &[(&'static str, &'static str)]) -> Option<u16> {
        refused_at("/status", token, headers)
    }

    fn refused_at(path: &str, token: Option<&str>, headers: &[(&'static str, &'static str)]) -> Option<u16> {
        let guard = Guard {
            hosts: Some(vec!["load.example".into(), "worker-3".into()]),
            token: token.map(|token| Secret::new(token.to_owned())),
        };
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        guard.refusal(path, &headers.collect()).map(|(status, _)| status.as_u16())
    }

    #[test]
    fn scripts_and_harnesses_pass() {
        for host in [
            "127.0.0.1:7884",
            "localhost:7884",
            "[::1]:7884",
            "10.0.0.3",
            "worker-3:7884",
            "WORKER-3",
            "Load.example:7884",
            "LocalHost",
        ] {
            assert_eq!(refused(None, &[("host", host)]), None, "{host}");
        }
        assert_eq!(refused(None, &[]), None, "HTTP/1.0 has no Host");
        assert_eq!(refused(None, &[("sec-fetch-site", "none")]), None);
    }

    #[test]
    fn pages_of_other_sites_are_refused() {
        assert_eq!(refused(None, &[("host", "127.0.0.1"), ("origin", "https://evil.example")]), Some(403));
        assert_eq!(refused(None, &[("host", "127.0.0.1"), ("origin", "null")]), Some(403));
        assert_eq!(refused(None, &[("host", "127.0.0.1"), ("sec-fetch-site", "cross-site")]), Some(403));
        assert_eq!(refused(None, &[("host", "127.0.0.1"), ("sec-fetch-site", "same-site")]), Some(403));
    }

    #[test]
    fn rebound_names_are_refused() {
        for host in ["evil.example:7884", "127.0.0.1.evil.example", "", "worker-33"] {
            assert_eq!(refused(None, &[("host", host)]), Some(403), "{host}");
        }
    }

    #[test]
    fn a_port_for_other_machines_has_any_name_unless_some_are_listed() {
        let knows = |listed: &[&str], bind: &str| {
            let listed: Vec<_> = listed.iter().map(|name| (*name).to_owned()).collect();
            Guard::new(None, &listed, bind.parse().unwrap()).knows("docker-rp-7:7884")
        };
        assert!(knows(&[], "0.0.0.0") && knows(&[], "::") && knows(&[], "10.0.0.3"));
        assert!(!knows(&[], "127.0.0.1") && !knows(&[], "::1") && !knows(&["load.example"], "0.0.0.0"));
    }

    #[test]
    fn a_token_is_asked_for_when_one_is_set() {
        let host = ("host", "127.0.0.1");
        assert_eq!(refused(Some("secret"), &[host]), Some(401));
        assert_eq!(refused(Some("secret"), &[host, ("authorization", "Bearer secreT")]), Some(401));
        assert_eq!(refused(Some("secret"), &[host, ("authorization", "Bearer secret")]), None);
    }

    #[test]
    fn the_page_alone_is_shown_without_a_token_and_to_nobody_from_elsewhere() {
        let host = ("host", "127.0.0.1");
        assert_eq!(refused_at("/", Some("secret"), &[host]), None);
        assert_eq!(refused_at("/v1/events", Some("secret"), &[host]), Some(401));
        assert_eq!(refused_at("/", None, &[("host", "evil.example")]), Some(403));
        assert_eq!(refused_at("/", None, &[host, ("sec-fetch-site", "cross-site")]), Some(403));
    }
}
