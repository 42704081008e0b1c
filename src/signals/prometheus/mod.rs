//! Prometheus, by its HTTP API.
//!
//! Range queries only, so that what is seen while running and what is replayed at the start is the same. Read by hand
//! and not through a client library: those at hand drop the answer's warnings, and a partial answer is no data here.

mod answer;

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use bytes::BytesMut;
use jiff::Timestamp;
use reqwest::header::DATE;
use reqwest::{Certificate, Client, Response, StatusCode, Url, redirect};

use super::{Fault, FaultKind, RangeQuery, Row, Source};

/// Largest answer that is read, bytes: a week of a thousand pods is far below it.
const MAX_BODY: usize = 256 * 1024 * 1024;
/// How far the server's clock may be from ours, seconds. Moments are asked about by our clock: beyond this the newest of
/// them would be ahead of the server's samples, or behind them.
const MAX_SKEW: i64 = 30;
/// Words by which the server says that an answer has too many samples or moments.
const TOO_BIG: [&str; 2] = ["too many samples", "maximum resolution"];
/// Longest text of the server that is shown.
const SHOWN: usize = 300;

/// How Prometheus is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrometheusOptions {
    /// Its base URL, with a path where it has one.
    pub url: String,
    /// Longest wait for one answer.
    pub timeout: Duration,
    /// File with a bearer token; it is read anew for each query, since tokens of service accounts change.
    pub token_file: Option<PathBuf>,
    /// File with the certificates of the authority that signed the server's, in PEM; read at the start. Without it the
    /// system's authorities count.
    pub ca_file: Option<PathBuf>,
}

/// Why Prometheus can't be asked at all.
#[derive(Debug, thiserror::Error)]
pub enum PrometheusError {
    /// The URL is none.
    #[error("OPRC_CRM_PROM_URL={url}: {message}; write the base URL, such as http://prometheus.monitoring:9090")]
    Url {
        /// As it was given.
        url: String,
        /// What is wrong.
        message: String,
    },
    /// The authority's certificates can't be had.
    #[error("OPRC_CRM_PROM_CA_FILE={}: {message}; give a file with certificates in PEM", .path.display())]
    Authority {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// No client.
    #[error("no HTTP client for Prometheus: {0}")]
    Client(reqwest::Error),
}

/// A Prometheus server, or what speaks like one.
#[derive(Clone, Debug)]
pub struct Prometheus {
    client: Client,
    range: Url,
    options: PrometheusOptions,
    /// Largest answer that is read, bytes.
    largest: usize,
}

impl Prometheus {
    /// A client; nothing is asked yet.
    pub fn new(options: PrometheusOptions) -> Result<Self, PrometheusError> {
        // Where the program has chosen none yet; otherwise its choice stays.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let range =
            range_url(&options.url).map_err(|message| PrometheusError::Url { url: options.url.clone(), message })?;
        let mut builder = Client::builder()
            .timeout(options.timeout)
            // A redirect leads to a login page, and a token must not follow it.
            .redirect(redirect::Policy::none())
            .user_agent(concat!("oprc-crm/", env!("CARGO_PKG_VERSION")));
        if let Some(path) = &options.ca_file {
            let failed = |message: String| PrometheusError::Authority { path: path.clone(), message };
            let pem = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
            let found = Certificate::from_pem_bundle(&pem).map_err(|error| failed(error.to_string()))?;
            if found.is_empty() {
                return Err(failed("no certificate in it".to_owned()));
            }
            builder = builder.tls_certs_only(found);
        }
        let client = builder.build().map_err(PrometheusError::Client)?;
        Ok(Self { client, range, options, largest: MAX_BODY })
    }

    async fn token(&self) -> Result<Option<String>, Fault> {
        let Some(path) = &self.options.token_file else { return Ok(None) };
        let failed = |message: &str| {
            Fault::new(FaultKind::Refused, format!("OPRC_CRM_PROM_TOKEN_FILE={}: {message}", path.display()))
        };
        let text = tokio::fs::read_to_string(path).await.map_err(|error| failed(&error.to_string()))?;
        let token = text.trim();
        let plain = !token.is_empty() && token.bytes().all(|b| b.is_ascii_graphic());
        if plain { Ok(Some(token.to_owned())) } else { Err(failed("holds no token: one line of printable characters")) }
    }

    async fn ask(&self, query: &RangeQuery) -> Result<Vec<Row>, Fault> {
        let seconds = |millis: i64| format!("{}.{:03}", millis.div_euclid(1000), millis.rem_euclid(1000));
        let form = [
            ("query", query.query.clone()),
            ("start", seconds(query.start)),
            ("end", seconds(query.end)),
            ("step", seconds(query.step)),
            ("timeout", format!("{}ms", self.options.timeout.as_millis())),
            ("lookback_delta", format!("{}ms", query.lookback.as_millis())),
        ];
        let mut request = self.client.post(self.range.clone()).form(&form);
        if let Some(token) = self.token().await? {
            request = request.bearer_auth(token);
        }
        let response = request.send().await.map_err(|error| self.failed(&error))?;
        let (status, skew) = (response.status(), skew(&response));
        let body = self.body(response).await?;
        if status != StatusCode::OK {
            return Err(refused(status, &body));
        }
        if let Some(seconds) = skew.filter(|skew| skew.abs() > MAX_SKEW) {
            let direction = if seconds > 0 { "ahead of" } else { "behind" };
            let message = format!(
                "the clock of Prometheus is more than {MAX_SKEW} s {direction} the controller's; set both by the same time server"
            );
            return Err(Fault::new(FaultKind::ClockSkew, message));
        }
        answer::rows(&body, query)
    }

    async fn body(&self, mut response: Response) -> Result<BytesMut, Fault> {
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.failed(&error))? {
            if body.len() + chunk.len() > self.largest {
                let message = format!("an answer of more than {} MiB; aggregate the query", self.largest / 1024 / 1024);
                return Err(Fault::new(FaultKind::TooBig, message));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn failed(&self, error: &reqwest::Error) -> Fault {
        if error.is_timeout() {
            let limit = humantime::format_duration(self.options.timeout);
            let message = format!("Prometheus did not answer within {limit} (OPRC_CRM_PROM_QUERY_TIMEOUT_SECS)");
            return Fault::new(FaultKind::Timeout, message);
        }
        // The innermost cause says what happened; the outer ones repeat the address.
        let mut cause: &dyn std::error::Error = error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        Fault::new(FaultKind::Unreachable, format!("Prometheus can't be reached: {}", shown(&cause.to_string())))
    }
}

#[async_trait]
impl Source for Prometheus {
    async fn range(&self, query: &RangeQuery) -> Result<Vec<Row>, Fault> {
        self.ask(query).await
    }
}

fn range_url(base: &str) -> Result<Url, String> {
    let mut url = Url::parse(base).map_err(|error| error.to_string())?;
    url.path_segments_mut().map_err(|()| "not a URL that has paths".to_owned())?.pop_if_empty().extend([
        "api",
        "v1",
        "query_range",
    ]);
    Ok(url)
}

/// How far the server's clock is ahead of ours, seconds, where it says what time it has.
fn skew(response: &Response) -> Option<i64> {
    let text = response.headers().get(DATE)?.to_str().ok()?;
    let theirs = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    Some(theirs.as_second() - Timestamp::now().as_second())
}

fn refused(status: StatusCode, body: &[u8]) -> Fault {
    let refusal = answer::refusal(body).unwrap_or_default();
    let said = if refusal.error.is_empty() { String::new() } else { format!(": {}", shown(&refusal.error)) };
    let is_too_big = TOO_BIG.iter().any(|words| refusal.error.contains(words));
    let (kind, advice) = match status.as_u16() {
        // Its own limit is ours, so it may be the first to give up.
        _ if refusal.kind == "timeout" => (FaultKind::Timeout, " (OPRC_CRM_PROM_QUERY_TIMEOUT_SECS)"),
        _ if is_too_big => (FaultKind::TooBig, "; aggregate the query"),
        401 | 403 => (FaultKind::Refused, "; give it a token that may read (OPRC_CRM_PROM_TOKEN_FILE)"),
        // A proxy before it gave up.
        408 | 504 => (FaultKind::Timeout, ""),
        404 => (FaultKind::Refused, "; is OPRC_CRM_PROM_URL the base URL of a Prometheus?"),
        300..=399 => (FaultKind::Refused, " and leads elsewhere; give the URL of Prometheus itself"),
        500.. | 429 => (FaultKind::ServerError, ""),
        _ => (FaultKind::Refused, ""),
    };
    Fault::new(kind, format!("Prometheus answers {}{said}{advice}", status.as_u16()))
}

fn shown(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SHOWN).collect();
    line.trim().to_owned()
}

#[cfg(test)]
mod tests;
