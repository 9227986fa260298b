//! The `Mailer` on SES v2.

use crate::config::MailFrom;
use crate::sdk::describe;
use aws_sdk_sesv2::Client;
use aws_sdk_sesv2::error::{BuildError, ProvideErrorMetadata, SdkError};
use aws_sdk_sesv2::operation::send_email::SendEmailError;
use aws_sdk_sesv2::types::{Body, Content, Destination, EmailContent, Message, MessageTag};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use billing_core::event::EventKey;
use billing_core::private::Private;
use billing_core::text::cut_to_bytes;
use billing_flows::mail::Mail;
use billing_flows::ports::{MailError, Mailer};

/// The mail service, from one sender. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SesMailer {
    client: Client,
    from: String,
    reply_to: String,
    configuration_set: Option<String>,
}

/// The tag that holds the event's subject.
pub const SUBJECT_TAG: &str = "subject";
/// The tag that holds the event's id.
pub const EVENT_TAG: &str = "event";

/// SES: a tag's value has at most 256 characters.
const MAX_TAG: usize = 256;

impl SesMailer {
    /// A mailer over a client; mails are from `brand` at the configured address.
    pub fn new(client: Client, from: &MailFrom, brand: &str) -> Self {
        Self {
            client,
            from: format!("{} <{}>", phrase(brand), from.address),
            reply_to: from.support_email.clone(),
            configuration_set: from.configuration_set.clone(),
        }
    }

    /// Opens the connection: asks about the account and ignores the answer, a refusal included.
    pub async fn warm_up(&self) {
        drop(self.client.get_account().send().await);
    }
}

impl Mailer for SesMailer {
    async fn send(&self, to: &Private, mail: &Mail, event: &EventKey) -> Result<(), MailError> {
        if !is_one_address(to.expose()) {
            return Err(MailError {
                detail: "the customer's address is not an e-mail address".to_owned(),
                retryable: false,
            });
        }
        let unwritable = |error: BuildError| MailError { detail: error.to_string(), retryable: false };
        let text = |data: &str| Content::builder().data(data).charset("UTF-8").build().map_err(unwritable);
        let tag = |name: &str, value: &str| {
            MessageTag::builder().name(name).value(tag_value(value)).build().map_err(unwritable)
        };
        let body = Body::builder().html(text(&mail.html)?).text(text(&mail.text)?).build();
        let message = Message::builder().subject(text(&mail.subject)?).body(body).build();
        let request = self
            .client
            .send_email()
            .from_email_address(&self.from)
            .reply_to_addresses(&self.reply_to)
            .destination(Destination::builder().to_addresses(to.expose()).build())
            .content(EmailContent::builder().simple(message).build())
            .email_tags(tag(SUBJECT_TAG, &event.subject)?)
            .email_tags(tag(EVENT_TAG, &event.id)?)
            .set_configuration_set_name(self.configuration_set.clone());
        request.send().await.map(|_| ()).map_err(|error| classified(&error))
    }
}

/// Whether trying again can help. It cannot if SES refuses this mail; it can if SES refuses us, for that will be mended.
fn classified(error: &SdkError<SendEmailError>) -> MailError {
    let why = |hint: &str, retryable| MailError { detail: format!("{}{hint}", describe(error)), retryable };
    match error.as_service_error() {
        // SES says the same of a mail it dislikes and of a sender nobody has verified. The second would lose every mail there is.
        Some(SendEmailError::MessageRejected(refusal))
            if refusal.message().is_some_and(|words| words.starts_with("Email address is not verified")) =>
        {
            why(": the sender is not verified, or the account is still in SES's sandbox", true)
        }
        Some(SendEmailError::MessageRejected(_) | SendEmailError::BadRequestException(_)) => why("", false),
        Some(SendEmailError::AccountSuspendedException(_) | SendEmailError::SendingPausedException(_)) => {
            why(": SES has stopped this account's mail; see its console", true)
        }
        Some(SendEmailError::MailFromDomainNotVerifiedException(_)) => {
            why(": the MAIL FROM domain is not verified", true)
        }
        Some(SendEmailError::NotFoundException(_)) => why(": check MAIL_CONFIGURATION_SET and MAIL_FROM", true),
        Some(SendEmailError::LimitExceededException(_) | SendEmailError::TooManyRequestsException(_)) => why("", true),
        Some(refusal) if refusal.code() == Some("AccessDeniedException") => {
            why(": this function's policy does not allow it", true)
        }
        // Whatever else it is, it says nothing about this mail; to call it final would lose the mail.
        Some(_) | None => why("", true),
    }
}

/// Whether SES could take it for anything but one address.
fn is_one_address(text: &str) -> bool {
    let plain = !text.contains(|c: char| c.is_control() || c.is_whitespace() || matches!(c, ',' | ';' | '<' | '>'));
    plain
        && text.len() <= 320
        && text.split_once('@').is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty())
}

/// Tags take ASCII letters, digits, `_` and `-`.
fn tag_value(text: &str) -> String {
    let plain = text.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' });
    plain.take(MAX_TAG).collect()
}

/// A display name as a header takes it: quoted, or if it is not ASCII, as an encoded word.
fn phrase(name: &str) -> String {
    if name.is_ascii() {
        let quoted: String = name.chars().filter(|c| !c.is_ascii_control() && !matches!(c, '"' | '\\')).collect();
        format!("\"{quoted}\"")
    } else {
        // An encoded word has at most 75 characters, which leaves 45 bytes.
        format!("=?UTF-8?B?{}?=", STANDARD.encode(cut_to_bytes(name, 45)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_holds_only_what_ses_allows() {
        assert_eq!(tag_value("0001764550800000-000002"), "0001764550800000-000002");
        assert_eq!(tag_value("팀/a@b.c"), "__a_b_c");
        assert_eq!(tag_value(&"x".repeat(300)).len(), MAX_TAG);
    }

    #[test]
    fn a_brand_is_a_name_that_headers_can_hold() {
        assert_eq!(phrase("Sivera"), "\"Sivera\"");
        assert_eq!(phrase("Si\"ve\r\nra"), "\"Sivera\"");
        assert_eq!(phrase("시베라"), "=?UTF-8?B?7Iuc67Kg6528?=");
    }

    #[test]
    fn only_one_address_is_sent_to() {
        assert!(is_one_address("kim@example.com"));
        for wrong in
            ["", "kim", "@example.com", "kim@", "a@x.com, b@x.com", "a@x.com\r\nBcc: b@x.com", "Kim <kim@example.com>"]
        {
            assert!(!is_one_address(wrong), "{wrong}");
        }
    }
}
