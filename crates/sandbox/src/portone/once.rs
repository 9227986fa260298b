//! Work that is done once: idempotency keys, and going on when the caller has left.

use jiff::Timestamp;
use serde_json::Value;

use super::call::Call;
use super::refusal::Refusal;
use super::reply::{Answer, Reply};
use super::state::{Change, State, Stored};
use super::{PortOne, lock};

const HEADER: &str = "idempotency-key";
/// The lengths a key may have, without its quotes.
const LENGTHS: std::ops::RangeInclusive<usize> = 16..=256;

/// The right to work on a request. While it lives, the same idempotency key is refused.
#[derive(Debug)]
pub(crate) struct Ticket {
    portone: PortOne,
    key: Option<(String, String)>,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some((key, _)) = &self.key {
            lock(&self.portone.0.running).remove(key);
        }
    }
}

enum Admission {
    Work(Ticket),
    Replay(Answer),
}

/// What work has come to: the answer and what became so.
pub(crate) type Done = (Result<Value, Refusal>, Vec<Change>);

impl PortOne {
    /// Does the work of a request, unless it was done before. It is done to its end even if the caller leaves.
    pub(crate) async fn once<W, F>(self, call: Call, work: W) -> Reply
    where
        W: FnOnce(PortOne, Call, Ticket) -> F + Send + 'static,
        F: Future<Output = Reply> + Send,
    {
        let admission = self.authorize(&call).and_then(|()| self.admit(&call));
        let ticket = match admission {
            Ok(Admission::Work(ticket)) => ticket,
            Ok(Admission::Replay(answer)) => return Reply::Answer(answer),
            Err(refusal) => return refusal.into(),
        };
        let busy = self.busy();
        let working = tokio::spawn(async move {
            let reply = work(self, call, ticket).await;
            drop(busy);
            reply
        });
        working.await.unwrap_or_else(|error| anyhow::Error::from(error).into_reply())
    }

    fn admit(&self, call: &Call) -> Result<Admission, Refusal> {
        if !call.has_header(HEADER) {
            return Ok(Admission::Work(Ticket { portone: self.clone(), key: None }));
        }
        let key = call.header(HEADER).and_then(unquoted).ok_or_else(|| {
            Refusal::invalid("the Idempotency-Key is not a quoted string of 16 to 256 ASCII characters")
        })?;
        let fingerprint = call.fingerprint();
        // A record is made before the ticket goes: whoever finds no ticket must look for a record after that.
        let mut running = lock(&self.0.running);
        let other = || Refusal::invalid("the Idempotency-Key was used for a different request");
        if let Some(first) = running.get(&key) {
            let same = *first == fingerprint;
            let outstanding =
                Refusal::new("IDEMPOTENCY_OUTSTANDING_REQUEST", "the first request with this key is not finished");
            return Err(if same { outstanding } else { other() });
        }
        if let Some(stored) = self.lock().answer(&key, self.now()) {
            let answer = Answer { status: stored.status, body: stored.body.clone() };
            return if stored.fingerprint == fingerprint { Ok(Admission::Replay(answer)) } else { Err(other()) };
        }
        running.insert(key.clone(), fingerprint.clone());
        Ok(Admission::Work(Ticket { portone: self.clone(), key: Some((key, fingerprint)) }))
    }

    /// Makes what work has come to so, together with its answer, which is kept under the idempotency key.
    pub(crate) fn conclude(
        &self,
        state: &mut State,
        ticket: &Ticket,
        (result, mut changes): Done,
        now: Timestamp,
    ) -> Answer {
        let answer = Answer::from(result);
        if let Some((key, fingerprint)) = &ticket.key {
            let Answer { status, body } = answer.clone();
            changes.push(Change::Answered(Stored {
                key: key.clone(),
                fingerprint: fingerprint.clone(),
                status,
                body,
                at: now,
            }));
        }
        match self.commit(state, changes) {
            Ok(()) => answer,
            Err(refusal) => Err(refusal).into(),
        }
    }

    /// Work that takes no time: looks at the state, and says what becomes so.
    pub(crate) async fn at_once<W>(self, call: Call, work: W) -> Reply
    where
        W: FnOnce(&PortOne, &Call, &State, Timestamp) -> Result<(Value, Vec<Change>), Refusal> + Send + 'static,
    {
        self.once(call, |portone, call, ticket| async move {
            let mut state = portone.lock();
            let now = portone.now();
            let done = match work(&portone, &call, &state, now) {
                Ok((value, changes)) => (Ok(value), changes),
                Err(refusal) => (Err(refusal), Vec::new()),
            };
            Reply::Answer(portone.conclude(&mut state, &ticket, done, now))
        })
        .await
    }
}

trait IntoReply {
    fn into_reply(self) -> Reply;
}

impl IntoReply for anyhow::Error {
    fn into_reply(self) -> Reply {
        Refusal::from(self).into()
    }
}

/// The key in an RFC 8941 string.
fn unquoted(header: &str) -> Option<String> {
    let inner = header.trim().strip_prefix('"')?.strip_suffix('"')?;
    let mut key = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(char) = chars.next() {
        match char {
            '"' => return None,
            '\\' => key.push(chars.next().filter(|char| matches!(char, '"' | '\\'))?),
            ' '..='~' => key.push(char),
            _ => return None,
        }
    }
    LENGTHS.contains(&key.len()).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_a_quoted_string_of_16_to_256_characters() {
        assert_eq!(unquoted("\"0123456789abcdef\"").as_deref(), Some("0123456789abcdef"));
        assert_eq!(unquoted(r#""0123456789abcde\"""#).as_deref(), Some("0123456789abcde\""));
        assert!(unquoted(&format!("\"{}\"", "x".repeat(256))).is_some());
        for wrong in
            ["0123456789abcdef", "\"0123456789abcde\"", "\"0123456789abcdef", "\"01234567\"89abcdef\"", "\"\"", ""]
        {
            assert_eq!(unquoted(wrong), None, "{wrong}");
        }
        assert!(unquoted(&format!("\"{}\"", "x".repeat(257))).is_none());
    }
}
