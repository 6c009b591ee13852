//! What each path answers.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use hyper::{Method, Request, Response, StatusCode};
use std::fmt::Write as _;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::guard::{self, Denied};
use super::reload::{Ask, PATIENCE, Told};
use super::{Admin, page, scrape};

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
const HTML: &str = "text/html; charset=utf-8";
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Nothing is fetched from elsewhere, and nobody may frame the page.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; \
                      img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

type Answer = Response<Full<Bytes>>;

impl Admin {
    /// The answer to one request; its body is not read.
    pub(super) async fn answer<B>(&self, request: &Request<B>) -> Answer {
        let path = request.uri().path();
        let is_probe = matches!(path, "/livez" | "/readyz" | "/healthz");
        if !is_probe && let Err(denied) = guard::check(&self.parts.access.load().options, request.headers()) {
            return refuse(denied);
        }
        if path == "/reload" {
            return self.reload(request).await;
        }
        let is_known = is_probe || matches!(path, "/" | "/metrics" | "/status.json");
        if !is_known {
            return say(StatusCode::NOT_FOUND, TEXT, NOT_FOUND);
        }
        if request.method() != Method::GET && request.method() != Method::HEAD {
            let mut answer = say(StatusCode::METHOD_NOT_ALLOWED, TEXT, "this path only answers GET\n");
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return answer;
        }
        match path {
            "/livez" => say(StatusCode::OK, TEXT, "alive\n"),
            "/readyz" => self.ready(),
            "/healthz" => self.health(),
            "/metrics" => say(StatusCode::OK, METRICS, scrape::render(&self.parts.process)),
            "/status.json" => {
                self.watched.set(Some(Instant::now()));
                let status = serde_json::to_vec(&self.status()).unwrap_or_default();
                say(StatusCode::OK, JSON, status)
            }
            _ => say(StatusCode::OK, HTML, page::text()),
        }
    }

    /// Has the configuration read again, and tells what came of it.
    async fn reload<B>(&self, request: &Request<B>) -> Answer {
        if request.method() != Method::POST {
            let mut answer = say(StatusCode::METHOD_NOT_ALLOWED, TEXT, "this path only answers POST\n");
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
            return answer;
        }
        if guard::is_from_elsewhere(request.headers()) {
            return say(StatusCode::FORBIDDEN, TEXT, "a page from elsewhere may not do that\n");
        }
        let Some(asks) = &self.parts.reload else {
            return say(StatusCode::NOT_IMPLEMENTED, TEXT, "this process does not read its configuration again\n");
        };
        let (answer, told) = oneshot::channel();
        let asking = async {
            asks.send(Ask { by: "POST /reload", answer: Some(answer) }).await.ok()?;
            told.await.ok()
        };
        match tokio::time::timeout(PATIENCE, asking).await {
            Ok(Some(Told { good: true, text })) => say(StatusCode::OK, TEXT, text + "\n"),
            Ok(Some(Told { good: false, text })) => say(StatusCode::UNPROCESSABLE_ENTITY, TEXT, text + "\n"),
            _ => say(StatusCode::SERVICE_UNAVAILABLE, TEXT, "the configuration cannot be read now: see the log\n"),
        }
    }

    fn ready(&self) -> Answer {
        match self.not_ready() {
            None => say(StatusCode::OK, TEXT, "ready\n"),
            Some(why) => say(StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("not ready: {why}\n")),
        }
    }

    /// As `/readyz`, with the reasons, and what is wrong beyond them.
    fn health(&self) -> Answer {
        let not_ready = self.not_ready();
        let code = if not_ready.is_none() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        let mut text = String::from("alive: yes\n");
        text.push_str(&not_ready.map_or_else(|| "ready: yes\n".to_owned(), |why| format!("ready: no, {why}\n")));
        for problem in self.status().problems {
            let _ = writeln!(text, "{}: {}", problem.severity, problem.text);
        }
        say(code, TEXT, text)
    }
}

const NOT_FOUND: &str =
    "nothing is here; there are / /status.json /metrics /livez /readyz /healthz, and /reload for POST\n";

fn refuse(denied: Denied) -> Answer {
    match denied {
        Denied::Host => say(
            StatusCode::MISDIRECTED_REQUEST,
            TEXT,
            "this port was called by a name that it does not know: use its address, or add the name to admin.hosts\n",
        ),
        Denied::Token => {
            let mut answer = say(StatusCode::UNAUTHORIZED, TEXT, "a token is needed: see admin.token\n");
            answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"slotway\""));
            answer
        }
    }
}

fn say(code: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = code;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    headers.insert("referrer-policy", HeaderValue::from_static("no-referrer"));
    if kind == HTML {
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    }
    answer
}
