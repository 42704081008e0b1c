//! Around every call: its correlation id and its deadline.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use futures::FutureExt as _;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue};
use rand::Rng as _;
use tokio::time::Instant;
use tonic::{Code, Status};
use tracing::Instrument as _;

use super::status::{self, internal};

/// Header that carries the correlation id, both ways.
pub const CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");
const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
/// How the decoder's words begin where bytes are no such message.
const DECODING: &str = "failed to decode Protobuf message";
/// How they begin where bytes cannot be decompressed.
const DECOMPRESSING: &str = "Error decompressing";
/// Longest correlation id that is taken over.
const MAX_CORRELATION_ID: usize = 1_024;

/// Correlation id of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CorrelationId(pub(super) String);

impl CorrelationId {
    /// The id that the layer put into a request's extensions.
    pub(super) fn of(extensions: &Extensions) -> Self {
        extensions.get::<Self>().cloned().unwrap_or_else(Self::made_up)
    }

    fn read(headers: &HeaderMap) -> Self {
        let given = headers.get(CORRELATION_ID).and_then(|value| value.to_str().ok()).map(str::trim);
        match given {
            Some(id) if !id.is_empty() && id.len() <= MAX_CORRELATION_ID => Self(id.to_owned()),
            _ => Self::made_up(),
        }
    }

    fn made_up() -> Self {
        Self(format!("{:032x}", rand::rng().random::<u128>()))
    }
}

impl fmt::Display for CorrelationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// When a call must be over; in a request's extensions, for answers that stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline(pub(super) Option<Instant>);

/// Middleware: correlation id in span, extensions and answer, on errors too.
pub(super) async fn correlate(mut request: Request, next: Next) -> Response {
    let id = CorrelationId::read(request.headers());
    let span = tracing::info_span!("rpc", method = %request.uri().path(), correlation_id = %id);
    request.extensions_mut().insert(id.clone());
    let started = Instant::now();
    let answer = AssertUnwindSafe(next.run(request).instrument(span.clone())).catch_unwind().await;
    // One call's panic must not take the others of its connection along.
    let mut response = answer.unwrap_or_else(|_| span.in_scope(|| internal("a panic; see above")).into_http());
    let elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    // Only a failed unary call has its status in the headers.
    let code = response.headers().get(GRPC_STATUS).and_then(|code| code.to_str().ok()).unwrap_or("0");
    span.in_scope(|| match code {
        "0" => tracing::debug!(elapsed_ms, "answered"),
        code => tracing::info!(grpc_status = code, elapsed_ms, "answered with an error"),
    });
    if let Ok(value) = HeaderValue::from_str(&id.0) {
        response.headers_mut().insert(CORRELATION_ID, value);
    }
    response
}

/// Middleware: the whole call, retries included, ends at its deadline, with `DEADLINE_EXCEEDED`.
///
/// A call without `grpc-timeout` gets `default`; one that streams is bounded only by a stated timeout.
pub(super) async fn bound(State(default): State<Duration>, mut request: Request, next: Next) -> Response {
    let stated = match timeout(request.headers()) {
        Ok(stated) => stated,
        Err(status) => return status.into_http(),
    };
    let now = Instant::now();
    request.extensions_mut().insert(Deadline(stated.and_then(|timeout| now.checked_add(timeout))));
    let limit = stated.unwrap_or(default);
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => deadline_exceeded(limit).into_http(),
    }
}

/// Middleware: a message that cannot be read is the caller's to mend, so the answer is `INVALID_ARGUMENT`. The decoder
/// calls it `OUT_OF_RANGE` (too large), `RESOURCE_EXHAUSTED` (too large once it is decompressed) or `INTERNAL`.
pub(super) async fn unreadable(State(limit): State<usize>, request: Request, next: Next) -> Response {
    let is_deploy = request.uri().path().ends_with("/Deploy");
    let response = next.run(request).await;
    let Some(message) = Status::from_header_map(response.headers()).and_then(|status| not_read(&status, limit)) else {
        return response;
    };
    let status =
        if is_deploy { status::invalid_field("deployment_unit", &message) } else { status::unusable(&message) };
    status.into_http()
}

/// What to tell the caller where a status is one of the decoder's.
fn not_read(status: &Status, limit: usize) -> Option<String> {
    let too_large = || {
        format!(
            "the message is larger than {limit} bytes, the limit; send less; mount large data as files instead of \
             writing it into config"
        )
    };
    let message = status.message();
    match status.code() {
        // Nothing else here answers with it in the headers.
        Code::OutOfRange => Some(too_large()),
        Code::ResourceExhausted if message.starts_with(DECOMPRESSING) => Some(too_large()),
        Code::Internal if message.starts_with(DECODING) || message.starts_with(DECOMPRESSING) => {
            Some(format!("{message}; send a message of the published proto files"))
        }
        _ => None,
    }
}

/// `DEADLINE_EXCEEDED` after so long.
pub(super) fn deadline_exceeded(limit: Duration) -> Status {
    Status::deadline_exceeded(format!("not done within {}", humantime::format_duration(limit)))
}

fn timeout(headers: &HeaderMap) -> Result<Option<Duration>, Status> {
    let Some(value) = headers.get(TIMEOUT) else { return Ok(None) };
    let parsed = value.to_str().ok().and_then(parse_timeout);
    let wrong = || status::unusable(&format!("grpc-timeout {value:?}: write up to 8 digits and one of H M S m u n"));
    parsed.map(Some).ok_or_else(wrong)
}

/// At most 8 digits and a unit, as the gRPC protocol has it.
fn parse_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3_600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn timeouts_have_up_to_eight_digits_and_a_unit() {
        for (text, duration) in [
            ("1S", Duration::from_secs(1)),
            ("99999999H", Duration::from_secs(99_999_999 * 3_600)),
            ("2M", Duration::from_secs(120)),
            ("250m", Duration::from_millis(250)),
            ("7u", Duration::from_micros(7)),
            ("0n", Duration::ZERO),
        ] {
            assert_eq!(parse_timeout(text), Some(duration), "{text}");
        }
        for text in ["", "S", "1", "1s", "-1S", "+1S", "1.5S", "123456789S", "1 S", "1SS", "٣S", "1é"] {
            assert_eq!(parse_timeout(text), None, "{text}");
        }
    }

    #[test]
    fn a_correlation_id_is_taken_over_or_made_up() {
        let read = |value: &[u8]| {
            let mut headers = HeaderMap::new();
            headers.insert(CORRELATION_ID, HeaderValue::from_bytes(value).unwrap());
            CorrelationId::read(&headers).0
        };
        assert_eq!(read(b"pm-42/\"x\""), "pm-42/\"x\"");
        for unusable in [b"".as_slice(), b"  ", &[0xff, 0xfe], &[b'x'; 2_000]] {
            assert_eq!(read(unusable).len(), 32);
        }
        assert_ne!(CorrelationId::read(&HeaderMap::new()), CorrelationId::read(&HeaderMap::new()));
    }

    proptest! {
        #[test]
        fn any_text_is_a_timeout_or_none_and_never_a_panic(text in any::<String>()) {
            let _ = parse_timeout(&text);
        }
    }
}
