//! The view of the page for a registration that failed, `GET /payment/billing/failure`; what the codes mean, and what to do.

use super::sheet::Quote;
use super::{clean, pg_name};
use billing_core::decline::{Decline, Pg, Reason};
use billing_core::plan::Locale;

/// What the browser brought of a registration that failed. All of it is the query's, so anybody may have written it: give it only to whoever
/// came with a valid session, or a stranger's words stand on our page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Failure {
    /// The PG of the session's channel, where it is known.
    pub pg: Option<Pg>,
    /// The SDK's `code`.
    pub code: Option<String>,
    /// The SDK's `message`.
    pub message: Option<String>,
    /// The PG's own code.
    pub pg_code: Option<String>,
    /// The PG's own message.
    pub pg_message: Option<String>,
    /// Where to try again, while the session can still be used.
    pub retry_url: Option<String>,
}

/// `PortOne`'s name for `NaverPay`.
pub(super) const NAVERPAY: &str = "NAVERPAY";

/// A PG's message is a sentence or two.
const MAX_MESSAGE_CHARS: usize = 160;

/// What must be shown as it was written is shown whole; only a query that no PG writes is cut.
const MAX_VERBATIM_CHARS: usize = 500;

/// Why nothing was registered, as far as a customer can do something about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Cause {
    /// The customer closed the window or cancelled.
    Closed,
    /// Something was typed wrong: the number, date, password or birth date.
    WrongDetails,
    /// The method cannot be used, for the same reasons for which a charge is declined.
    Method(Reason),
    /// It took too long.
    TimedOut,
    /// The registration is over already: this link or window is an old one.
    Stale,
    /// Our settings are wrong, or what we asked for was.
    OurMistake,
    /// A code that is not in the table, or none.
    Unknown,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Advice {
    TryAgain,
    CheckDetails,
    AnotherMethod,
    CheckBalance,
    CallIssuer,
    Wait,
    StartOver,
    Contact,
}

impl Cause {
    /// What helps against it.
    pub(super) fn advice(self) -> Advice {
        match self {
            Self::Closed | Self::TimedOut | Self::Unknown => Advice::TryAgain,
            Self::WrongDetails => Advice::CheckDetails,
            Self::Stale => Advice::StartOver,
            Self::OurMistake => Advice::Contact,
            Self::Method(reason) => match reason {
                Reason::InsufficientFunds | Reason::LimitExceeded => Advice::CheckBalance,
                Reason::Expired | Reason::Closed | Reason::Invalid | Reason::NoMethod => Advice::AnotherMethod,
                Reason::LostOrStolen | Reason::Refused | Reason::Unknown => Advice::CallIssuer,
                Reason::Unavailable => Advice::Wait,
            },
        }
    }
}

/// The SDK's codes (`PortOne`'s browser-sdk.yml: `CheckoutServiceErrorCode`, `GrpcErrorCode`, `TxServiceIssueErrorCode`), and what they mean.
/// Those of a PG are not here: [`BY_PG`] says which.
pub(super) const CODES: &[(&str, Cause)] = &[
    ("Cancelled", Cause::Closed),
    ("Aborted", Cause::TimedOut),
    ("DeadlineExceeded", Cause::TimedOut),
    ("AlreadyExists", Cause::Stale),
    ("BillingKeyNotFound", Cause::Stale),
    ("FailedPrecondition", Cause::Stale),
    ("InvalidEntityState", Cause::Stale),
    ("DataLoss", Cause::Method(Reason::Unavailable)),
    ("Internal", Cause::Method(Reason::Unavailable)),
    ("ParseIssuePrepareResponseFailed", Cause::Method(Reason::Unavailable)),
    ("ParsePgRawIssueBillingKeyResponseFailed", Cause::Method(Reason::Unavailable)),
    ("ParsePgRawResponseFailed", Cause::Method(Reason::Unavailable)),
    ("ParsePrepareResponseFailed", Cause::Method(Reason::Unavailable)),
    ("ResourceExhausted", Cause::Method(Reason::Unavailable)),
    ("Unavailable", Cause::Method(Reason::Unavailable)),
    ("AllChannelsNotSatisfied", Cause::OurMistake),
    ("BadRequest", Cause::OurMistake),
    ("ChannelNotFound", Cause::OurMistake),
    ("ConfirmUrlRequired", Cause::OurMistake),
    ("InvalidArgument", Cause::OurMistake),
    ("NotFound", Cause::OurMistake),
    ("OutOfRange", Cause::OurMistake),
    ("ParseChannelFailed", Cause::OurMistake),
    ("PermissionDenied", Cause::OurMistake),
    ("RequestParseFailed", Cause::OurMistake),
    ("StoreNotFound", Cause::OurMistake),
    ("Unauthenticated", Cause::OurMistake),
    ("Unimplemented", Cause::OurMistake),
    ("Ok", Cause::Unknown),
    ("Unknown", Cause::Unknown),
    ("UnknownError", Cause::Unknown),
];

/// The SDK's codes that say no more than that the PG refused; the second is an older name that is still seen.
pub(super) const BY_PG: [&str; 2] = ["PGProviderError", "FAILURE_TYPE_PG"];

/// What PGs say in their windows and never of a charge; what they say of both is in `billing_core`'s decline table. Toss Payments:
/// docs.tosspayments.com/reference/error-codes. Others name the user's cancelling in ways that are not published in one place.
pub(super) const PG_CODES: &[(&str, Cause)] = &[
    ("CANCEL", Cause::Closed),
    ("PAY_CANCEL", Cause::Closed),
    ("PAY_PROCESS_CANCELED", Cause::Closed),
    ("USER_CANCEL", Cause::Closed),
    ("UserCancel", Cause::Closed),
    ("userCancel", Cause::Closed),
    ("INVALID_BIRTH_DAY_FORMAT", Cause::WrongDetails),
    ("INVALID_CARD_IDENTITY", Cause::WrongDetails),
    ("INVALID_CARD_NUMBER", Cause::WrongDetails),
    ("INVALID_CARD_PASSWORD", Cause::WrongDetails),
    ("INVALID_PASSWORD", Cause::WrongDetails),
    ("NOT_MATCHES_CUSTOMER_KEY", Cause::Stale),
    ("PAY_PROCESS_ABORTED", Cause::Method(Reason::Refused)),
];

/// How messages say that the customer closed the window, where the code does not: compared in lower case. To take a refusal for a closed
/// window costs one more try; the reverse tells somebody who changed their mind that something broke.
pub(super) const CLOSED_WORDS: [&str; 6] =
    ["사용자가 결제를 취소", "사용자 취소", "결제를 취소하", "등록을 취소하", "결제포기", "cancelled by user"];

/// The codes that mean a closed window, the SDK's and the PGs'.
pub(super) fn closed_codes() -> Vec<&'static str> {
    CODES.iter().chain(PG_CODES).filter(|row| row.1 == Cause::Closed).map(|row| row.0).collect()
}

impl Failure {
    /// What the codes and messages mean: the PG's code says more than the SDK's, and a code more than a message.
    pub(super) fn cause(&self) -> Cause {
        let code = self.code.as_deref().unwrap_or("");
        let by_pg = self.pg_code.is_some() || BY_PG.contains(&code);
        let pg_code = self.pg_code.as_deref().unwrap_or(code);
        if let Some(cause) = find(PG_CODES, pg_code) {
            return cause;
        }
        if let Some(reason) = self.pg.as_ref().map(|pg| Decline::from_pg(pg, pg_code).reason)
            && reason != Reason::Unknown
        {
            return Cause::Method(reason);
        }
        let said = [&self.message, &self.pg_message].into_iter().flatten().map(|text| text.to_lowercase());
        if said.into_iter().any(|text| CLOSED_WORDS.iter().any(|words| text.contains(words))) {
            return Cause::Closed;
        }
        find(CODES, code).unwrap_or(if by_pg { Cause::Method(Reason::Unknown) } else { Cause::Unknown })
    }

    /// The PG's own words, for the customer to read or to quote. `NaverPay` asks that its messages be shown as they are (`PortOne`'s guide to
    /// it); of the others' only what is no link is worth the room.
    pub(super) fn quote(&self, locale: Locale, whose: &str) -> Option<Quote> {
        let code = self.code.as_deref().filter(|code| !BY_PG.contains(code));
        let by_pg = self.pg_code.is_some() || code.is_none();
        let said = self.pg_message.as_deref().or(self.message.as_deref().filter(|_| by_pg));
        let verbatim = matches!(&self.pg, Some(Pg::Other(name)) if name == NAVERPAY);
        let text = said
            .map(|said| clean::cut(said, if verbatim { MAX_VERBATIM_CHARS } else { MAX_MESSAGE_CHARS }))
            .filter(|said| !said.is_empty() && (verbatim || !said.contains("://") && !said.contains("www.")));
        let code = self.pg_code.as_deref().or(code).and_then(clean::code).map(str::to_owned);
        let by = self.pg.as_ref().and_then(|pg| pg_name(pg, locale)).unwrap_or(whose).to_owned();
        (text.is_some() || code.is_some()).then_some(Quote { by, verbatim: verbatim && text.is_some(), text, code })
    }
}

fn find(table: &[(&str, Cause)], code: &str) -> Option<Cause> {
    table.iter().find(|row| row.0 == code).map(|row| row.1)
}

#[cfg(test)]
mod tests {
    use super::super::{en, ko};
    use super::*;

    fn of(code: &str) -> Failure {
        Failure { code: Some(code.to_owned()), ..Failure::default() }
    }

    fn by_pg(pg: Pg, pg_code: &str) -> Failure {
        Failure { pg: Some(pg), pg_code: Some(pg_code.to_owned()), ..of("PGProviderError") }
    }

    #[test]
    fn no_code_stands_in_a_table_twice() {
        for table in [CODES, PG_CODES] {
            for (i, row) in table.iter().enumerate() {
                assert!(table.iter().skip(i + 1).all(|other| other.0 != row.0), "{}", row.0);
            }
        }
    }

    #[test]
    fn every_code_has_sentences_and_advice_in_both_languages() {
        let reasons = Decline::from_pg(&Pg::TossPayments, "x").reason;
        let causes = CODES.iter().chain(PG_CODES).map(|row| row.1).chain([Cause::Method(reasons), Cause::Unknown]);
        for cause in causes {
            let hangul = |text: &str| text.chars().any(|c| ('가'..='힣').contains(&c));
            let (ko, en) = (ko::cause(cause), en::cause(cause));
            for text in [ko.0, ko.1, ko::advice(cause.advice())] {
                assert!(hangul(text) && text.len() > 8, "{cause:?}: {text}");
            }
            for text in [en.0, en.1, en::advice(cause.advice())] {
                assert!(!hangul(text) && text.len() > 8, "{cause:?}: {text}");
            }
        }
    }

    #[test]
    fn a_pgs_code_says_more_than_the_sdks() {
        assert_eq!(by_pg(Pg::TossPayments, "INVALID_CARD_EXPIRATION").cause(), Cause::Method(Reason::Expired));
        assert_eq!(by_pg(Pg::TossPayments, "PAY_PROCESS_CANCELED").cause(), Cause::Closed);
        assert_eq!(by_pg(Pg::Kcp, "NEVER_SEEN").cause(), Cause::Method(Reason::Unknown));
        assert_eq!(of("PGProviderError").cause(), Cause::Method(Reason::Unknown));
    }

    #[test]
    fn a_closed_window_is_known_by_its_code_or_by_its_words() {
        assert_eq!(of("Cancelled").cause(), Cause::Closed);
        assert_eq!(
            of("PAY_PROCESS_CANCELED").cause(),
            Cause::Closed,
            "some bring the PG's code in the place of the SDK's"
        );
        let words = Failure {
            message: Some("[결제포기] 사용자가 결제를 취소하셨습니다".to_owned()),
            ..of("FAILURE_TYPE_PG")
        };
        assert_eq!(words.cause(), Cause::Closed);
    }

    #[test]
    fn what_nobody_knows_is_called_unknown() {
        assert_eq!(of("NeverSeen").cause(), Cause::Unknown);
        assert_eq!(Failure::default().cause(), Cause::Unknown);
        assert!(Failure::default().quote(Locale::Ko, "결제 회사").is_none());
    }

    #[test]
    fn naverpays_words_stay_as_they_are_and_others_are_cut() {
        let long = "가".repeat(200);
        let said = |pg: Pg| Failure { pg_message: Some(long.clone()), ..by_pg(pg, "X") }.quote(Locale::Ko, "").unwrap();
        let naver = said(Pg::Other(NAVERPAY.to_owned()));
        assert_eq!((naver.text.as_deref(), naver.verbatim), (Some(long.as_str()), true));
        let toss = said(Pg::TossPayments);
        assert_eq!((toss.text.map(|text| text.chars().count()), toss.verbatim), (Some(MAX_MESSAGE_CHARS + 1), false));
    }

    #[test]
    fn a_link_in_a_message_and_a_sentence_in_a_code_are_not_shown() {
        let message = Some("환불은 https://evil.example 에서".to_owned());
        let failure = Failure { pg_code: Some("call 010-0000-0000".to_owned()), message, ..of("PGProviderError") };
        assert!(failure.quote(Locale::Ko, "").is_none());
    }
}
