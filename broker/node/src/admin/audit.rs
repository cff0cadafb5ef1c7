//! Who changed what: one line of the log for each change that was asked for, also for those that were refused.
//!
//! The lines have the target `pelton::audit` and the fields `who`, `what`, `detail`, `status` and `outcome`. They hold no
//! token and no bytes of a plugin.

use super::Shared;
use super::access;
use super::failure::{Failure, Reason};
use super::health;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::SocketAddr;

/// The most bytes of a detail or an outcome that a line holds.
const TEXT_MAX_BYTES: usize = 2_000;

/// Who asks, as it is kept in manifests and in the records of switches.
#[derive(Debug, Clone)]
pub struct By(pub String);

/// What a handler adds to its line.
#[derive(Debug, Clone)]
pub struct Detail(pub String);

/// A request that changes nothing, whatever its method says.
#[derive(Debug, Clone, Copy)]
pub struct ChangesNothing;

/// Answers those who may ask, and writes down what they change.
pub async fn guard(
    State(shared): State<Shared>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Response {
    let admitted = access::admit(shared.token.as_deref(), request.headers());
    let address = peer.ip().to_canonical();
    let who = match (&shared.token, admitted) {
        (Some(_), Ok(())) => format!("admin-token {address}"),
        _ => address.to_string(),
    };
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let what = format!("{} {}", request.method(), request.uri().path());
    let response = match admitted {
        Ok(()) if !shared.is_open() => health::not_ready(&shared),
        Ok(()) => {
            request.extensions_mut().insert(By(who.clone()));
            next.run(request).await
        }
        Err(refused) => refusal(refused),
    };
    if changes && response.extensions().get::<ChangesNothing>().is_none() {
        record(&who, &what, &response);
    }
    response
}

fn refusal(refused: access::Refused) -> Response {
    let mut response = Failure(refused.status(), refused.text().to_owned()).into_response();
    if refused.status() == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
    }
    response
}

fn record(who: &str, what: &str, response: &Response) {
    let status = response.status().as_u16();
    let detail = response.extensions().get::<Detail>().map_or("", |detail| detail.0.as_str());
    let detail = shortened(detail);
    match response.extensions().get::<Reason>() {
        None => tracing::info!(target: "pelton::audit", who, what, detail, status, outcome = "done"),
        Some(reason) => {
            let outcome = format!("refused: {}", shortened(&reason.0));
            tracing::warn!(target: "pelton::audit", who, what, detail, status, outcome);
        }
    }
}

/// On one line, and no longer than a line should be.
fn shortened(text: &str) -> String {
    let mut line = String::with_capacity(text.len().min(TEXT_MAX_BYTES));
    for character in text.chars() {
        if line.len() >= TEXT_MAX_BYTES {
            line.push('…');
            break;
        }
        if character.is_control() { line.extend(character.escape_default()) } else { line.push(character) }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Extension;
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    /// Keeps what is logged.
    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_change_is_written_down_with_who_and_what_came_of_it() {
        let kept = Kept::default();
        let writer = kept.clone();
        let lines = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).finish();
        tracing::subscriber::with_default(lines, || {
            let done = (Extension(Detail("pelton.interceptors=mask@1".to_owned())), "{}").into_response();
            record("127.0.0.1", "PUT /v1/topics/t/plugins", &done);
            record("10.0.0.1", "DELETE /v1/plugins/a/versions/1", &refusal(access::Refused::Token));
        });
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        for part in ["INFO pelton::audit", "127.0.0.1", "PUT /v1/topics/t/plugins", "mask@1", "status=200", "done"] {
            assert!(lines[0].contains(part), "{part}: {text}");
        }
        for part in ["WARN pelton::audit", "10.0.0.1", "DELETE /v1/plugins/a/versions/1", "status=401", "refused: "] {
            assert!(lines[1].contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn a_line_is_one_line_and_ends() {
        assert_eq!(shortened("a\nb\u{1b}ü"), "a\\nb\\u{1b}ü");
        assert!(shortened(&"ü".repeat(100_000)).len() < 2_010);
    }
}
