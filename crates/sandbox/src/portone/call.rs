//! A request, taken apart.

use std::collections::BTreeMap;
use std::convert::Infallible;

use axum::body::to_bytes;
use axum::extract::{FromRequest, FromRequestParts, MatchedPath, Path, Query, Request};
use axum::http::header::{AUTHORIZATION, USER_AGENT};
use axum::http::{HeaderMap, Method};
use serde::de::DeserializeOwned;

use super::PortOne;
use super::refusal::Refusal;

/// The longest body that is read.
pub(crate) const MAX_BODY_BYTES: usize = 1024 * 1024;

/// A request. Whatever is wrong with it is said when it is asked for.
#[derive(Debug)]
pub(crate) struct Call {
    method: Method,
    path: String,
    ids: BTreeMap<String, String>,
    query: BTreeMap<String, String>,
    headers: HeaderMap,
    body: Result<Vec<u8>, Refusal>,
}

type Pairs = BTreeMap<String, String>;

impl FromRequest<PortOne> for Call {
    type Rejection = Infallible;

    async fn from_request(request: Request, portone: &PortOne) -> Result<Self, Infallible> {
        let (mut parts, body) = request.into_parts();
        let matched = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
        portone.count(format!("{} {matched}", parts.method));
        let ids = Path::<Pairs>::from_request_parts(&mut parts, portone).await.map(|Path(ids)| ids).unwrap_or_default();
        let query =
            Query::<Pairs>::from_request_parts(&mut parts, portone).await.map(|Query(query)| query).unwrap_or_default();
        let body = to_bytes(body, MAX_BODY_BYTES).await.map(Vec::from);
        let body = body.map_err(|error| Refusal::invalid(format!("the body cannot be read: {error}")));
        let path = parts.uri.path_and_query().map_or_else(String::new, ToString::to_string);
        Ok(Self { method: parts.method, path, ids, query, headers: parts.headers, body })
    }
}

impl Call {
    /// An id in the path, decoded.
    pub(crate) fn id(&self, name: &str) -> &str {
        self.ids.get(name).map_or("", String::as_str)
    }

    /// A value in the query, decoded.
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }

    /// A true or false in the query.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, Refusal> {
        match self.query(name) {
            None | Some("" | "false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(Refusal::invalid(format!("`{name}` is true or false"))),
        }
    }

    pub(crate) fn authorization(&self) -> &str {
        self.header(AUTHORIZATION.as_str()).unwrap_or("")
    }

    pub(crate) fn user_agent(&self) -> Option<String> {
        self.header(USER_AGENT.as_str()).map(str::to_owned)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(crate) fn has_header(&self, name: &str) -> bool {
        self.headers.contains_key(name)
    }

    /// The body as JSON, whatever its content type says.
    pub(crate) fn body<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        let body = self.body.as_ref().map_err(Clone::clone)?;
        serde_json::from_slice(body).map_err(|error| Refusal::invalid(format!("the body does not fit: {error}")))
    }

    /// What a call without a body of its own asks for: JSON in the query field `requestBody`, or else in the body, or else nothing.
    pub(crate) fn asked<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        let body = self.body.as_ref().map_err(Clone::clone)?;
        let text = match self.query("requestBody") {
            Some(text) if !text.is_empty() => text.as_bytes(),
            _ if body.is_empty() => b"{}",
            _ => body,
        };
        serde_json::from_slice(text).map_err(|error| Refusal::invalid(format!("`requestBody` does not fit: {error}")))
    }

    /// Method, path and body: what an idempotency key stands for.
    pub(crate) fn fingerprint(&self) -> String {
        let body = self.body.as_deref().unwrap_or_default();
        format!("{} {} {}", self.method, self.path, super::ids::sha256(body))
    }
}
