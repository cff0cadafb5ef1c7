//! Who may ask. Pure: from the headers of a request and the token that is set.

use crate::config::Secret;
use axum::http::{HeaderMap, StatusCode, header};

/// Why nobody is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The token is missing or wrong.
    Token,
    /// A web page may have sent it.
    Foreign,
}

impl Refused {
    /// The status of the answer.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Token => StatusCode::UNAUTHORIZED,
            Self::Foreign => StatusCode::FORBIDDEN,
        }
    }

    /// What to do.
    pub fn text(self) -> &'static str {
        match self {
            Self::Token => {
                "show the broker's admin token: `Authorization: Bearer TOKEN` (`pelton` takes it from PELTON_ADMIN_TOKEN)"
            }
            Self::Foreign => {
                "only programs on this machine may ask: the Host must be a loopback address, without an Origin"
            }
        }
    }
}

/// Whether a request with these headers is answered.
///
/// # Errors
/// [`Refused`].
pub fn admit(token: Option<&Secret>, headers: &HeaderMap) -> Result<(), Refused> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    match token {
        Some(token) => {
            let shown = text(header::AUTHORIZATION).split_once(' ');
            let right =
                shown.is_some_and(|(scheme, shown)| scheme.eq_ignore_ascii_case("Bearer") && token.is(shown.trim()));
            if right { Ok(()) } else { Err(Refused::Token) }
        }
        None if headers.contains_key(header::ORIGIN) || !is_loopback_host(text(header::HOST)) => Err(Refused::Foreign),
        None => Ok(()),
    }
}

fn is_loopback_host(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn only_loopback_names_are_taken_for_this_machine() {
        for host in ["localhost", "LOCALHOST:9644", "127.0.0.1:9644", "127.8.8.8", "[::1]:9644", "[::1]"] {
            assert!(is_loopback_host(host), "{host}");
        }
        for host in ["", "example.org", "example.org:9644", "10.0.0.1:9644", "127.0.0.1.example.org", "[fe80::1]:1"] {
            assert!(!is_loopback_host(host), "{host}");
        }
    }

    #[test]
    fn without_a_token_no_web_page_is_answered() {
        assert_eq!(admit(None, &headers(&[("host", "localhost:9644")])), Ok(()));
        assert_eq!(admit(None, &headers(&[("host", "example.org")])), Err(Refused::Foreign));
        assert_eq!(admit(None, &headers(&[])), Err(Refused::Foreign));
        let from_page = headers(&[("host", "localhost"), ("origin", "https://example.org")]);
        assert_eq!(admit(None, &from_page), Err(Refused::Foreign));
    }

    #[test]
    fn with_a_token_whoever_shows_it_is_answered_and_nobody_else() {
        let mut settings = Settings::default();
        settings.flag("--set", "pelton.admin.token", "0123456789abcdef");
        let token = settings.build().unwrap().0.admin_token.unwrap();
        for right in ["Bearer 0123456789abcdef", "bearer  0123456789abcdef "] {
            assert_eq!(admit(Some(&token), &headers(&[("authorization", right), ("host", "example.org")])), Ok(()));
        }
        for wrong in ["Bearer 0123456789abcdee", "0123456789abcdef", "Basic 0123456789abcdef", "Bearer ", "Bearer"] {
            let asked = headers(&[("authorization", wrong), ("host", "localhost")]);
            assert_eq!(admit(Some(&token), &asked), Err(Refused::Token), "{wrong}");
        }
        assert_eq!(admit(Some(&token), &headers(&[("host", "localhost")])), Err(Refused::Token));
    }
}
