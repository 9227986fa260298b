//! The few other AWS operations that the Lambdas call: SES v2 `SendEmail`, SQS `SendMessage` and `SendMessageBatch`, Secrets Manager
//! `GetSecretValue`. Signatures are not checked: this is a laptop.

use crate::mailbox::{Email, Mailbox};
use crate::queue::{Name, Queues};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use jiff::SignedDuration;
use md5::{Digest, Md5};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// SQS takes requests of 1 MiB, SES v2 mails of 40 MB; ours are far smaller.
const MAX_REQUEST_BYTES: usize = 2 * 1024 * 1024;

/// SQS holds a message back for 15 minutes at most.
const MAX_DELAY_SECONDS: i64 = 900;

/// What the port serves. Clones serve the same.
#[derive(Debug, Clone)]
pub struct Aws {
    /// Where mails end.
    pub mailbox: Mailbox,
    /// Where messages wait.
    pub queues: Queues,
    /// Secrets by id.
    pub secrets: Arc<BTreeMap<String, String>>,
}

impl Aws {
    /// The HTTP API.
    pub fn router(self) -> Router {
        Router::new().fallback(serve).with_state(self)
    }
}

struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
}

fn refuse(code: &'static str, message: impl Into<String>) -> Refusal {
    Refusal { status: StatusCode::BAD_REQUEST, code, message: message.into() }
}

async fn serve(State(aws): State<Aws>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or("");
    let answer = if body.len() > MAX_REQUEST_BYTES {
        Err(refuse("RequestTooLong", "the request is larger than 2 MiB"))
    } else {
        match serde_json::from_slice::<Value>(&body) {
            Err(error) => Err(refuse("SerializationException", error.to_string())),
            Ok(input) => match target {
                "AmazonSQS.SendMessage" => aws.send_message(&input),
                "AmazonSQS.SendMessageBatch" => aws.send_batch(&input),
                "secretsmanager.GetSecretValue" => aws.secret(&input),
                _ if method == Method::POST && uri.path() == "/v2/email/outbound-emails" => aws.send_email(&input),
                _ => Err(refuse(
                    "UnknownOperationException",
                    format!("{method} {} {target} is not served here", uri.path()),
                )),
            },
        }
    };
    let (status, body, error) = match answer {
        Ok(body) => (StatusCode::OK, body, None),
        Err(refusal) => {
            let body = json!({ "__type": refusal.code, "message": refusal.message, "Message": refusal.message });
            (refusal.status, body, Some(refusal.code))
        }
    };
    let mut response =
        (status, [(header::CONTENT_TYPE, "application/x-amz-json-1.0")], body.to_string()).into_response();
    if let Some(code) = error {
        response.headers_mut().insert("x-amzn-errortype", header::HeaderValue::from_static(code));
    }
    response
}

impl Aws {
    fn send_message(&self, input: &Value) -> Result<Value, Refusal> {
        let queue = queue_of(input)?;
        self.keep(queue, input)
    }

    fn send_batch(&self, input: &Value) -> Result<Value, Refusal> {
        let queue = queue_of(input)?;
        let entries = input["Entries"].as_array().filter(|entries| (1..=10).contains(&entries.len()));
        let entries = entries.ok_or_else(|| refuse("TooManyEntriesInBatchRequest", "a batch has 1 to 10 entries"))?;
        let mut successful = Vec::new();
        for entry in entries {
            let mut kept = self.keep(queue, entry)?;
            kept["Id"] = entry["Id"].clone();
            successful.push(kept);
        }
        Ok(json!({ "Successful": successful, "Failed": [] }))
    }

    fn keep(&self, queue: Name, entry: &Value) -> Result<Value, Refusal> {
        let body = entry["MessageBody"].as_str().filter(|body| !body.is_empty());
        let body = body.ok_or_else(|| refuse("MissingParameter", "a message needs a MessageBody"))?;
        let digest = data_encoding::HEXLOWER.encode(&Md5::digest(body.as_bytes()));
        let delay = entry["DelaySeconds"].as_i64().unwrap_or(0);
        if !(0..=MAX_DELAY_SECONDS).contains(&delay) {
            return Err(refuse("InvalidParameterValue", format!("DelaySeconds is from 0 to {MAX_DELAY_SECONDS}")));
        }
        let delay = SignedDuration::from_secs(delay);
        let id = self.queues.send(queue, body.to_owned(), delay).map_err(|error| failure(&error))?;
        Ok(json!({ "MessageId": message_id(id), "MD5OfMessageBody": digest }))
    }

    fn secret(&self, input: &Value) -> Result<Value, Refusal> {
        let id = input["SecretId"].as_str().unwrap_or("");
        let value = self.secrets.get(id);
        let value = value.ok_or_else(|| refuse("ResourceNotFoundException", format!("there is no secret {id}")))?;
        Ok(
            json!({ "ARN": id, "Name": id, "SecretString": value, "VersionId": "sandbox", "VersionStages": ["AWSCURRENT"] }),
        )
    }

    fn send_email(&self, input: &Value) -> Result<Value, Refusal> {
        let to = input["Destination"]["ToAddresses"][0].as_str().filter(|to| to.contains('@'));
        let to = to.ok_or_else(|| refuse("BadRequestException", "Missing final '@domain'"))?.to_owned();
        let simple = &input["Content"]["Simple"];
        let text_of = |value: &Value| value["Data"].as_str().unwrap_or("").to_owned();
        let (subject, text, html) =
            (text_of(&simple["Subject"]), text_of(&simple["Body"]["Text"]), text_of(&simple["Body"]["Html"]));
        if subject.is_empty() || (text.is_empty() && html.is_empty()) {
            return Err(refuse("BadRequestException", "a mail needs a subject and a body"));
        }
        let tags = input["EmailTags"].as_array().map(Vec::as_slice).unwrap_or_default();
        let tag = tags.iter().find(|tag| tag["Name"] == "event").and_then(|tag| tag["Value"].as_str());
        let event_id = tag.unwrap_or("").to_owned();
        let number = self.mailbox.deliver(|sent_at| Email { to, subject, text, html, event_id, sent_at });
        Ok(json!({ "MessageId": format!("sandbox-{}", number.map_err(|error| failure(&error))?) }))
    }
}

fn queue_of(input: &Value) -> Result<Name, Refusal> {
    let url = input["QueueUrl"].as_str().unwrap_or("");
    Name::of_url(url).ok_or_else(|| refuse("QueueDoesNotExist", format!("there is no queue {url}")))
}

fn failure(error: &anyhow::Error) -> Refusal {
    Refusal { status: StatusCode::INTERNAL_SERVER_ERROR, code: "InternalFailure", message: error.to_string() }
}

/// A message's id, as SQS shows it.
pub fn message_id(id: u64) -> String {
    format!("00000000-0000-0000-0000-{id:012}")
}
