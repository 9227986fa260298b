//! A call: what is read of a request, within limits.

use crate::refusal::{Kind, Refusal};
use billing_core::event::Cause;
use billing_core::id::UserId;
use billing_core::plan::Locale;
use billing_core::refund::CallerKey;
use lambda_http::http::Method;
use lambda_http::http::header::{ACCEPT_LANGUAGE, CONTENT_TYPE};
use lambda_http::request::RequestContext;
use lambda_http::{Request, RequestExt};
use serde::de::{DeserializeOwned, IgnoredAny};

/// The largest body that is read. The longest that makes sense, a checkout session with all its fields full, stays under 4 KB.
pub(crate) const MAX_BODY_BYTES: usize = 16 * 1024;

/// The name of the header that holds a caller's idempotency key.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// One request.
pub(crate) struct Call<'a> {
    request: &'a Request,
}

impl<'a> Call<'a> {
    pub(crate) fn of(request: &'a Request) -> Self {
        Self { request }
    }

    pub(crate) fn method(&self) -> &Method {
        self.request.method()
    }

    pub(crate) fn path(&self) -> &str {
        self.request.raw_http_path()
    }

    /// The first value of a field of the query.
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.request.query_string_parameters_ref()?.first(name)
    }

    /// The path with its query, as it came.
    pub(crate) fn path_and_query(&self) -> String {
        let query = self.request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
        format!("{}{query}", self.path())
    }

    /// The language that the browser asks for.
    pub(crate) fn locale(&self) -> Locale {
        let header = self.request.headers().get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
        Locale::from_tag(header.unwrap_or(""))
    }

    /// API Gateway's id of the request: another for every request.
    pub(crate) fn request_id(&self) -> &str {
        match self.request.request_context_ref() {
            Some(RequestContext::ApiGatewayV2(context)) => context.request_id.as_deref().unwrap_or(""),
            _ => "",
        }
    }

    /// The call of a route that reads.
    pub(crate) fn get(&self) -> Result<&Self, Refusal> {
        self.only(&Method::GET, "GET")
    }

    /// The call of a route that changes something.
    pub(crate) fn post(&self) -> Result<&Self, Refusal> {
        self.only(&Method::POST, "POST")
    }

    /// Refuses a call whose signature API Gateway has not checked, and then another method than the route's.
    fn only(&self, method: &Method, name: &'static str) -> Result<&Self, Refusal> {
        let is_signed = match self.request.request_context_ref() {
            Some(RequestContext::ApiGatewayV2(context)) => {
                context.authorizer.as_ref().is_some_and(|authorizer| authorizer.iam.is_some())
            }
            _ => false,
        };
        if !is_signed {
            return Err(Refusal::new(Kind::Forbidden));
        }
        if self.method() == method { Ok(self) } else { Err(Refusal::method(name)) }
    }

    /// The body, as JSON of one form and no other.
    pub(crate) fn body<B: DeserializeOwned>(&self) -> Result<B, Refusal> {
        let bytes: &[u8] = self.request.body().as_ref();
        if bytes.len() > MAX_BODY_BYTES {
            return Err(Refusal::new(Kind::TooLarge).saying(format!("The body is larger than {MAX_BODY_BYTES} bytes.")));
        }
        let content_type = self.request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
        if !content_type.split(';').next().unwrap_or("").trim().eq_ignore_ascii_case("application/json") {
            return Err(Refusal::new(Kind::NotJson));
        }
        parse(bytes)
    }

    /// Whose subscription: `userId` in the query.
    pub(crate) fn user(&self) -> Result<UserId, Refusal> {
        let user = self.query("userId").unwrap_or("");
        UserId::new(user).map_err(|error| Refusal::invalid("userId", &error.to_string()))
    }

    /// The caller's idempotency key, if it gave one.
    pub(crate) fn key(&self) -> Result<Option<CallerKey>, Refusal> {
        let mut values = self.request.headers().get_all(IDEMPOTENCY_KEY).iter();
        let Some(value) = values.next() else { return Ok(None) };
        let text = value.to_str().unwrap_or("");
        // The header is a string in double quotes by the IETF's draft; most callers leave them out.
        let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
        let refused = |what: String| Refusal::invalid("Idempotency-Key", &what);
        if values.next().is_some() {
            return Err(refused("the header must be given once".to_owned()));
        }
        CallerKey::new(text).map(Some).map_err(|error| refused(error.to_string()))
    }

    /// What brings about whatever is done: the caller's key, so that its repetition is known; else this very request.
    pub(crate) fn cause(&self) -> Result<Cause, Refusal> {
        Ok(Cause::Api(match self.key()? {
            Some(key) => format!("key:{}", key.as_str()),
            None => format!("request:{}", self.request_id()),
        }))
    }
}

/// Reads a body. What is wrong is said by its place, never by its value.
pub(crate) fn parse<B: DeserializeOwned>(bytes: &[u8]) -> Result<B, Refusal> {
    // What is not JSON to its last byte is told from JSON that says something else.
    serde_json::from_slice::<IgnoredAny>(bytes).map_err(|_| Refusal::new(Kind::NotJson))?;
    let mut json = serde_json::Deserializer::from_slice(bytes);
    serde_path_to_error::deserialize(&mut json).map_err(|error| {
        if error.inner().is_data() {
            let field = field(&error.path().to_string(), &error.inner().to_string());
            Refusal::invalid(&field, "is missing, unknown, or of a wrong type or value")
        } else {
            Refusal::new(Kind::NotJson)
        }
    })
}

/// The name of a field that is wrong. The path to one that is missing ends before it; it is one of ours, and stands in the message.
fn field(path: &str, message: &str) -> String {
    let missing = message.strip_prefix("missing field `").and_then(|rest| rest.split_once('`'));
    match (path, missing) {
        (".", Some((name, _))) => name.to_owned(),
        (".", None) => "body".to_owned(),
        (path, Some((name, _))) => format!("{path}.{name}"),
        (path, None) => path.to_owned(),
    }
}
