//! Secrets that can be replaced while functions run.
//!
//! A value is kept for a while, and read again early when what it opens refuses it; but not more than once in a few seconds, for when a
//! secret is wrong it is wrong for everyone at once.

use crate::sdk::describe;
use aws_sdk_secretsmanager::Client;
use billing_core::Timestamp;
use billing_flows::ports::Clock;
use jiff::SignedDuration;
use portone::webhook::WebhookSecret;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, PoisonError};
use thiserror::Error;
use tokio::sync::Mutex;

/// How long a value is used before it is read again: a replaced secret is noticed within this time even if the old one still works.
pub const TIME_TO_LIVE: SignedDuration = SignedDuration::from_mins(5);

/// How long an old value is used after it could not be read again: a charge does not wait for Secrets Manager each time.
const AFTER_FAILURE: SignedDuration = SignedDuration::from_mins(1);

/// How much time passes at least between two early reads.
pub const MIN_INTERVAL: SignedDuration = SignedDuration::from_secs(5);

/// A secret's text. It does not print.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(Arc<str>);

impl SecretText {
    /// Wraps a text, without the line end that editors and shells leave behind.
    pub fn new(text: &str) -> Self {
        Self(text.trim().into())
    }

    /// The text itself. Do not log it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// A secret could not be read, or is not what it must be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("secret {id}: {detail}")]
pub struct SecretError {
    /// Its name.
    pub id: String,
    /// What is wrong, without any of its text.
    pub detail: String,
}

/// Where secrets are read.
pub trait ReadSecret: Send + Sync {
    /// Reads one. One request.
    fn read(&self, id: &str) -> impl Future<Output = Result<SecretText, SecretError>> + Send;
}

/// AWS Secrets Manager. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SecretsManager {
    client: Client,
}

impl SecretsManager {
    /// Reads secrets over a client.
    pub fn new(client: Client) -> Self {
        Self { client }
    }
}

impl ReadSecret for SecretsManager {
    async fn read(&self, id: &str) -> Result<SecretText, SecretError> {
        let failed = |detail: String| SecretError { id: id.to_owned(), detail };
        let answer = self.client.get_secret_value().secret_id(id).send().await;
        let answer = answer.map_err(|error| failed(format!("GetSecretValue failed: {}", describe(&error))))?;
        let text = answer.secret_string().map(SecretText::new).filter(|text| !text.expose().is_empty());
        text.ok_or_else(|| failed("has no text; store it as plain text".to_owned()))
    }
}

/// A secret that is known from the start: for tests and the sandbox.
#[derive(Debug, Clone)]
pub struct FixedSecret(pub SecretText);

impl ReadSecret for FixedSecret {
    async fn read(&self, _: &str) -> Result<SecretText, SecretError> {
        Ok(self.0.clone())
    }
}

/// One secret, kept for a while.
#[derive(Debug)]
pub struct CachedSecret<R, C> {
    source: R,
    clock: C,
    id: String,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    text: Option<SecretText>,
    fresh_until: Option<Timestamp>,
    last_read: Option<Timestamp>,
}

impl<R: ReadSecret, C: Clock> CachedSecret<R, C> {
    /// A secret that has not been read yet.
    pub fn new(source: R, clock: C, id: impl Into<String>) -> Self {
        Self { source, clock, id: id.into(), kept: Mutex::default() }
    }

    /// The present moment.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Its name.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The secret. A value that has grown old is still given if no newer one can be read.
    pub async fn get(&self) -> Result<SecretText, SecretError> {
        let mut kept = self.kept.lock().await;
        let now = self.clock.now();
        if let (Some(text), Some(until)) = (&kept.text, kept.fresh_until)
            && now < until
        {
            return Ok(text.clone());
        }
        match (self.read(&mut kept, now).await, &kept.text) {
            (Ok(text), _) => Ok(text),
            (Err(error), Some(old)) => {
                tracing::warn!(%error, "the value read before is used on");
                Ok(old.clone())
            }
            (Err(error), None) => Err(error),
        }
    }

    /// The secret, if it is another than the one that was just refused. Reads it at most once in [`MIN_INTERVAL`].
    pub async fn other_than(&self, refused: &SecretText) -> Option<SecretText> {
        let mut kept = self.kept.lock().await;
        if let Some(text) = kept.text.as_ref().filter(|text| *text != refused) {
            return Some(text.clone());
        }
        let now = self.clock.now();
        if kept.last_read.is_some_and(|at| now.duration_since(at).abs() < MIN_INTERVAL) {
            return None;
        }
        let read = self.read(&mut kept, now).await;
        read.inspect_err(|error| tracing::warn!(%error, "a refused secret could not be read again"))
            .ok()
            .filter(|text| text != refused)
    }

    async fn read(&self, kept: &mut Kept, now: Timestamp) -> Result<SecretText, SecretError> {
        kept.last_read = Some(now);
        let read = self.source.read(&self.id).await;
        let wait = if read.is_ok() { TIME_TO_LIVE } else { AFTER_FAILURE };
        kept.fresh_until = Some(now.checked_add(wait).unwrap_or(Timestamp::MAX));
        if let Ok(text) = &read {
            kept.text = Some(text.clone());
        }
        read
    }
}

/// The webhook secrets: one, or two while one replaces the other.
#[derive(Debug)]
pub struct WebhookSecrets<R, C> {
    cached: CachedSecret<R, C>,
    /// What a text was read as: it is the same for minutes, and for every event.
    parsed: std::sync::Mutex<Option<(SecretText, Arc<[WebhookSecret]>)>>,
}

impl<R: ReadSecret, C: Clock> WebhookSecrets<R, C> {
    /// Reads them from a secret that holds one `whsec_…`, or several as a JSON list or separated by blanks or line ends.
    pub fn new(cached: CachedSecret<R, C>) -> Self {
        Self { cached, parsed: std::sync::Mutex::default() }
    }

    /// The secrets to verify with, and the text they come from. Allocates nothing while the text is the same.
    pub async fn get(&self) -> Result<(Arc<[WebhookSecret]>, SecretText), SecretError> {
        let text = self.cached.get().await?;
        Ok((self.parse(&text)?, text))
    }

    /// The secrets, if they are others than those that a signature was just refused by. A secret is issued before it is stored here, so a
    /// webhook may be signed with one that is not known yet.
    pub async fn other_than(&self, refused: &SecretText) -> Result<Option<Arc<[WebhookSecret]>>, SecretError> {
        let other = self.cached.other_than(refused).await;
        other.map(|text| self.parse(&text)).transpose()
    }

    fn parse(&self, text: &SecretText) -> Result<Arc<[WebhookSecret]>, SecretError> {
        let mut parsed = self.parsed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, secrets)) = parsed.as_ref().filter(|(of, _)| of == text) {
            return Ok(Arc::clone(secrets));
        }
        let secrets =
            webhook_secrets(text).map_err(|detail| SecretError { id: self.cached.id().to_owned(), detail })?;
        let secrets: Arc<[WebhookSecret]> = secrets.into();
        *parsed = Some((text.clone(), Arc::clone(&secrets)));
        Ok(secrets)
    }
}

/// What checkout addresses are signed with: one text, or two while one replaces the other.
#[derive(Debug)]
pub struct CheckoutSecrets<R, C> {
    cached: CachedSecret<R, C>,
}

impl<R: ReadSecret, C: Clock> CheckoutSecrets<R, C> {
    /// Reads them from a secret that holds one text, or two as a JSON list or separated by blanks or line ends.
    pub fn new(cached: CachedSecret<R, C>) -> Self {
        Self { cached }
    }

    /// The texts, never none: the first signs, all verify. A text that was just put first is used within [`TIME_TO_LIVE`] by every function;
    /// store it **second** for that long before, and no address is refused meanwhile.
    pub async fn get(&self) -> Result<Vec<SecretText>, SecretError> {
        let text = self.cached.get().await?;
        checkout_secrets(&text).map_err(|detail| SecretError { id: self.cached.id().to_owned(), detail })
    }
}

/// A new checkout secret and the one it replaces.
pub const MAX_CHECKOUT_SECRETS: usize = 2;

/// The fewest characters of a checkout secret: as many bytes as the hash that signs gives.
pub const MIN_CHECKOUT_SECRET_CHARS: usize = 32;

/// Reads one checkout secret, or two as a JSON list or separated by blanks or line ends.
pub fn checkout_secrets(text: &SecretText) -> Result<Vec<SecretText>, String> {
    let parts = parts(text)?;
    if parts.is_empty() || parts.len() > MAX_CHECKOUT_SECRETS {
        return Err(format!("must hold one or two checkout secrets, holds {}", parts.len()));
    }
    if parts.iter().any(|part| part.trim().len() < MIN_CHECKOUT_SECRET_CHARS) {
        return Err(format!("must hold {MIN_CHECKOUT_SECRET_CHARS} random characters or more"));
    }
    Ok(parts.iter().map(|part| SecretText::new(part)).collect())
}

/// The texts of a secret that holds one, or several as a JSON list or separated by blanks or line ends.
fn parts(text: &SecretText) -> Result<Vec<String>, String> {
    let text = text.expose();
    if text.starts_with('[') {
        serde_json::from_str(text).map_err(|_| "must be a JSON list of texts".to_owned())
    } else {
        Ok(text.split_whitespace().map(str::to_owned).collect())
    }
}

/// `PortOne` keeps two webhook secrets alive at most.
pub const MAX_WEBHOOK_SECRETS: usize = 2;

/// Reads one `whsec_…`, or up to two as a JSON list or separated by blanks or line ends.
pub fn webhook_secrets(text: &SecretText) -> Result<Vec<WebhookSecret>, String> {
    let parts = parts(text)?;
    if parts.is_empty() || parts.len() > MAX_WEBHOOK_SECRETS {
        return Err(format!("must hold one or two webhook secrets, holds {}", parts.len()));
    }
    parts.iter().map(|part| WebhookSecret::new(part.trim()).map_err(|error| error.to_string())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex as Lock;
    use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

    #[derive(Debug, Default)]
    struct Source {
        text: Lock<Option<&'static str>>,
        reads: AtomicUsize,
    }

    impl ReadSecret for &Source {
        async fn read(&self, id: &str) -> Result<SecretText, SecretError> {
            self.reads.fetch_add(1, Ordering::SeqCst);
            let text = *self.text.lock().unwrap();
            text.map(SecretText::new).ok_or(SecretError { id: id.to_owned(), detail: "not now".to_owned() })
        }
    }

    #[derive(Debug, Default)]
    struct Time(AtomicI64);

    impl Clock for &Time {
        fn now(&self) -> Timestamp {
            Timestamp::from_second(self.0.load(Ordering::SeqCst)).unwrap()
        }
    }

    fn set(source: &Source, text: Option<&'static str>) {
        *source.text.lock().unwrap() = text;
    }

    #[tokio::test]
    async fn a_value_is_read_once_while_it_is_fresh() {
        let (source, time) = (Source::default(), Time::default());
        set(&source, Some("one\n"));
        let cached = CachedSecret::new(&source, &time, "b/api");
        for second in [0, 100, 299] {
            time.0.store(second, Ordering::SeqCst);
            assert_eq!(cached.get().await.unwrap().expose(), "one");
        }
        assert_eq!(source.reads.load(Ordering::SeqCst), 1);
        set(&source, Some("two"));
        time.0.store(300, Ordering::SeqCst);
        assert_eq!(cached.get().await.unwrap().expose(), "two");
    }

    #[tokio::test]
    async fn an_old_value_is_better_than_none() {
        let (source, time) = (Source::default(), Time::default());
        let cached = CachedSecret::new(&source, &time, "b/api");
        assert_eq!(cached.get().await.unwrap_err().to_string(), "secret b/api: not now");
        set(&source, Some("one"));
        time.0.store(5, Ordering::SeqCst);
        cached.get().await.unwrap();
        set(&source, None);
        time.0.store(400, Ordering::SeqCst);
        assert_eq!(cached.get().await.unwrap().expose(), "one");
    }

    #[tokio::test]
    async fn a_storm_of_refusals_reads_once() {
        let (source, time) = (Source::default(), Time::default());
        set(&source, Some("old"));
        let cached = CachedSecret::new(&source, &time, "b/api");
        let old = cached.get().await.unwrap();
        time.0.store(60, Ordering::SeqCst);
        for _ in 0..100 {
            assert_eq!(cached.other_than(&old).await, None);
        }
        assert_eq!(source.reads.load(Ordering::SeqCst), 2);
        set(&source, Some("new"));
        time.0.store(66, Ordering::SeqCst);
        for _ in 0..100 {
            assert_eq!(cached.other_than(&old).await.unwrap().expose(), "new");
        }
        assert_eq!(source.reads.load(Ordering::SeqCst), 3);
    }

    #[tokio::test]
    async fn a_text_is_read_as_webhook_secrets_once_and_anew_when_it_was_replaced() {
        let (source, time) = (Source::default(), Time::default());
        set(&source, Some("whsec_c2VjcmV0"));
        let secrets = WebhookSecrets::new(CachedSecret::new(&source, &time, "b/webhook"));
        let (first, text) = secrets.get().await.unwrap();
        let (again, _) = secrets.get().await.unwrap();
        assert!(Arc::ptr_eq(&first, &again));
        set(&source, Some("whsec_c2VjcmV0 whsec_b3RoZXI="));
        time.0.store(60, Ordering::SeqCst);
        assert_eq!(secrets.other_than(&text).await.unwrap().unwrap().len(), 2);
        assert_eq!(secrets.get().await.unwrap().0.len(), 2);
    }

    #[test]
    fn one_webhook_secret_or_two_are_read() {
        let read = |text: &str| webhook_secrets(&SecretText::new(text)).map(|secrets| secrets.len());
        assert_eq!(read("whsec_c2VjcmV0"), Ok(1));
        assert_eq!(read("whsec_c2VjcmV0\nwhsec_b3RoZXI=\n"), Ok(2));
        assert_eq!(read(r#"["whsec_c2VjcmV0", "whsec_b3RoZXI="]"#), Ok(2));
        for wrong in ["", "whsec_", "not base64!", "[1]", "[]", "whsec_c2VjcmV0 whsec_b3RoZXI= whsec_b3RoZXI="] {
            let error = read(wrong).unwrap_err();
            assert!(!error.contains("b3Ro"), "{error}");
        }
    }

    #[test]
    fn one_checkout_secret_or_two_are_read() {
        let (one, two) = ("a".repeat(32), "b".repeat(40));
        let read = |text: &str| checkout_secrets(&SecretText::new(text));
        assert_eq!(read(&one), Ok(vec![SecretText::new(&one)]));
        assert_eq!(read(&format!("{two}\n{one}\n")), Ok(vec![SecretText::new(&two), SecretText::new(&one)]));
        assert_eq!(read(&format!("[\"{two}\",\"{one}\"]")).unwrap().len(), 2);
        for wrong in ["", "[]", "[1]", "short", &"c".repeat(31), &format!("{one} {one} {one}"), &format!("{one} short")]
        {
            let error = read(wrong).unwrap_err();
            assert!(!error.contains("ccc") && !error.contains("short"), "{error}");
        }
    }

    #[test]
    fn a_secret_does_not_print() {
        assert_eq!(format!("{:?}", FixedSecret(SecretText::new("s"))), "FixedSecret([secret])");
    }
}
