//! `docs/openapi.json`, and what is held against it.

use crate::process::Sandbox;
use reqwest::Method;
use serde_json::{Value, json};
use std::sync::OnceLock;

/// The document.
pub(super) fn document() -> &'static Value {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(|| serde_json::from_str(include_str!("../../../../../docs/openapi.json")).unwrap())
}

/// Lets no object have other fields than those that are declared. Clients bear new ones; this document must not miss any.
fn strict(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            object.values_mut().for_each(strict);
            if object.get("type") == Some(&json!("object")) && object.contains_key("properties") {
                object.insert("additionalProperties".to_owned(), json!(false));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(strict),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Holds a value against a schema of the document.
pub(super) fn check(schema: &Value, value: &Value, what: &str) {
    let mut root = json!({ "allOf": [schema], "components": document()["components"] });
    strict(&mut root);
    let options = jsonschema::options().with_draft(jsonschema::Draft::Draft202012).should_validate_formats(true);
    let validator = options.build(&root).unwrap();
    let errors: Vec<String> =
        validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{what}: {errors:#?}\n{value:#}");
}

/// The operation of a method and a path, if the document has one.
fn operation(method: &Method, path: &str) -> Option<&'static Value> {
    let bare = path.split('?').next().unwrap();
    let is_it = |template: &str| {
        let (wanted, got): (Vec<&str>, Vec<&str>) = (template.split('/').collect(), bare.split('/').collect());
        wanted.len() == got.len() && wanted.iter().zip(&got).all(|(want, got)| want.starts_with('{') || want == got)
    };
    let (_, found) = document()["paths"].as_object().unwrap().iter().find(|(template, _)| is_it(template))?;
    found.get(method.as_str().to_lowercase())
}

/// An answer, as a test looks at it.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: reqwest::header::HeaderMap,
    /// JSON, or a page as text.
    pub(super) body: Value,
}

impl Answer {
    /// The status and what the body says it is: `status` of an answer, `type` of a problem.
    #[track_caller]
    pub(super) fn is(&self, status: u16, word: &str) -> &Value {
        let said = match self.body["type"].as_str() {
            Some(urn) => urn.strip_prefix("urn:problem:billing:").unwrap_or(urn),
            None => self.body["status"].as_str().unwrap_or(""),
        };
        assert_eq!((self.status, said), (status, word), "{:#}", self.body);
        &self.body
    }
}

/// One call, made and held against the document.
pub(super) struct Call<'a> {
    pub(super) sandbox: &'a Sandbox,
    method: Method,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl<'a> Call<'a> {
    pub(super) fn get(sandbox: &'a Sandbox, path: impl Into<String>) -> Self {
        Self::of(sandbox, Method::GET, path)
    }

    pub(super) fn post(sandbox: &'a Sandbox, path: impl Into<String>) -> Self {
        Self::of(sandbox, Method::POST, path)
    }

    pub(super) fn of(sandbox: &'a Sandbox, method: Method, path: impl Into<String>) -> Self {
        Self { sandbox, method, path: path.into(), headers: Vec::new(), body: Vec::new() }
    }

    pub(super) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    pub(super) fn key(self, key: &str) -> Self {
        self.header("idempotency-key", key)
    }

    pub(super) fn json(self, body: &Value) -> Self {
        self.bytes("application/json", body.to_string())
    }

    pub(super) fn bytes(mut self, content_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self.header("content-type", content_type)
    }

    pub(super) async fn send(self) -> Answer {
        let what = format!("{} {}", self.method, self.path);
        let url = self.sandbox.url("api", &self.path);
        let mut request = self.sandbox.http().request(self.method.clone(), url).body(self.body.clone());
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let content_type = headers["content-type"].to_str().unwrap().split(';').next().unwrap().to_owned();
        let text = answer.text().await.unwrap();
        let body: Value = if content_type == "text/html" { json!(text) } else { serde_json::from_str(&text).unwrap() };
        let Some(operation) = operation(&self.method, &self.path) else {
            // Whatever is not in the document does not exist.
            assert!(matches!(status, 404 | 405), "{what}: {status} {text}");
            check(&document()["components"]["schemas"]["Problem"], &body, &what);
            return Answer { status, headers, body };
        };
        assert_eq!(headers["cache-control"], "no-store", "{what}");
        let schema = &operation["responses"][status.to_string()]["content"][&content_type]["schema"];
        assert!(schema.is_object(), "{what} answers {status} {content_type}, which is not in the document: {text}");
        check(schema, &body, &format!("{what}, {status}"));
        if (200..300).contains(&status)
            && let Some(asked) = operation["requestBody"]["content"]["application/json"].get("schema")
        {
            check(asked, &serde_json::from_slice(&self.body).unwrap(), &format!("the body of {what}"));
        }
        Answer { status, headers, body }
    }
}
