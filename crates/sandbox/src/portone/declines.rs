//! A gateway's own words for a decline.
//!
//! Codes of Toss Payments, NHN KCP, Nice and `PayPal` are from their public lists where those have one for the reason. KG Inicis
//! publishes none as text: its codes here only have the right shape.

/// What the gateway says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decline {
    pub(crate) pg_code: String,
    pub(crate) pg_message: String,
}

/// (reason, Toss Payments, KG Inicis, NHN KCP, Nice, `PayPal`, text).
type Row = (&'static str, &'static str, &'static str, &'static str, &'static str, &'static str, &'static str);

const TABLE: [Row; 9] = [
    ("insufficient_funds", "REJECT_CARD_PAYMENT", "5153", "CC10", "3095", "INSTRUMENT_DECLINED", "잔액이 부족합니다."),
    ("over_limit", "EXCEED_MAX_AMOUNT", "5104", "CC07", "3095", "TRANSACTION_LIMIT_EXCEEDED", "한도를 초과했습니다."),
    ("expired_card", "INVALID_CARD_EXPIRATION", "5121", "CC63", "3021", "CARD_EXPIRED", "유효기간이 지난 카드입니다."),
    (
        "stolen_card",
        "INVALID_CARD_LOST_OR_STOLEN",
        "5141",
        "CC05",
        "3095",
        "PAYER_ACCOUNT_RESTRICTED",
        "분실·도난 카드입니다.",
    ),
    (
        "closed_account",
        "REJECT_TOSSPAY_INVALID_ACCOUNT",
        "5151",
        "CC03",
        "A126",
        "PAYER_ACCOUNT_LOCKED_OR_CLOSED",
        "해지된 계좌입니다.",
    ),
    (
        "invalid_card",
        "INVALID_CARD_NUMBER",
        "5111",
        "CC01",
        "3011",
        "BILLING_AGREEMENT_NOT_FOUND",
        "카드 번호가 올바르지 않습니다.",
    ),
    (
        "suspended_card",
        "INVALID_STOPPED_CARD",
        "5131",
        "CC02",
        "F112",
        "PAYER_ACCOUNT_RESTRICTED",
        "정지된 카드입니다.",
    ),
    ("pg_down", "PROVIDER_ERROR", "9999", "9562", "9999", "INTERNAL_SERVER_ERROR", "일시적인 오류가 발생했습니다."),
    ("unknown", "SANDBOX_UNLISTED", "0X99", "ZZ99", "Z999", "SANDBOX_UNLISTED", "알 수 없는 사유로 거절되었습니다."),
];

/// The decline of `reason` in the words of the gateway. A reason that is none of ours is the gateway's code as it is.
pub(crate) fn decline(pg_provider: &str, reason: &str) -> Decline {
    let Some((_, toss, inicis, kcp, nice, paypal, text)) = TABLE.iter().find(|row| row.0 == reason) else {
        return Decline { pg_code: reason.to_owned(), pg_message: format!("거절되었습니다. ({reason})") };
    };
    let code = match pg_provider {
        name if name.contains("INICIS") => inicis,
        name if name.starts_with("KCP") => kcp,
        name if name.starts_with("NICE") => nice,
        name if name.starts_with("PAYPAL") => paypal,
        _ => toss,
    };
    Decline { pg_code: (*code).to_owned(), pg_message: (*text).to_owned() }
}

#[cfg(test)]
mod tests {
    use super::super::behavior::REASONS;
    use super::*;

    #[test]
    fn every_reason_has_words_in_every_gateway() {
        for (reason, row) in REASONS.iter().zip(TABLE) {
            assert_eq!(*reason, row.0);
        }
        assert_eq!(decline("TOSSPAYMENTS", "expired_card").pg_code, "INVALID_CARD_EXPIRATION");
        assert_eq!(decline("KCP_V2", "insufficient_funds").pg_code, "CC10");
        assert_eq!(decline("PAYPAL_V2", "insufficient_funds").pg_code, "INSTRUMENT_DECLINED");
        assert_eq!(decline("NICE_V2", "4008").pg_code, "4008");
    }
}
