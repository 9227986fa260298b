//! Money: a whole number of minor units, with its currency.

use crate::calendar::Period;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The currencies that are billed. `KRW` has no minor unit, so 1 is one won; `USD` counts cents.
///
/// `PortOne` takes amounts in the same minor units (fact: ISO 4217 exponent; `KRW` ×1, `USD` ×100).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Currency {
    /// Korean won.
    #[serde(rename = "KRW")]
    Krw,
    /// United States dollar. `PayPal` is billed in dollars, because it cannot charge won.
    #[serde(rename = "USD")]
    Usd,
}

impl Currency {
    /// The ISO 4217 code.
    pub fn code(self) -> &'static str {
        match self {
            Self::Krw => "KRW",
            Self::Usd => "USD",
        }
    }

    /// The currency of an ISO 4217 code, if it is one that is billed.
    pub fn from_code(code: &str) -> Option<Self> {
        match code {
            "KRW" => Some(Self::Krw),
            "USD" => Some(Self::Usd),
            _ => None,
        }
    }

    /// Minor units as tables show them, without the currency's sign: `30,000` won, `30.00` dollars.
    pub fn shown(self, minor: i64) -> String {
        match self {
            Self::Krw => grouped(minor),
            Self::Usd => {
                let dollars = minor.checked_div(100).unwrap_or(0);
                let cents = minor.checked_rem(100).unwrap_or(0);
                format!("{}.{cents:02}", grouped(dollars))
            }
        }
    }
}

/// Why a sum of money cannot exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum MoneyError {
    /// An amount below zero was given or would result.
    #[error("an amount of money cannot be negative")]
    Negative,
    /// The amount exceeds [`Money::MAX_MINOR`].
    #[error("an amount of money is larger than {max}", max = Money::MAX_MINOR)]
    TooLarge,
    /// Two currencies met in one sum.
    #[error("{0:?} and {1:?} cannot be added or compared")]
    Mixed(Currency, Currency),
    /// A share of zero days was asked for.
    #[error("a share of a month needs 0 to all of its days, and the month at least one")]
    BadShare,
}

/// A non-negative amount in minor units of one currency. It cannot be mixed with another currency and cannot wrap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "RawMoney")]
pub struct Money {
    minor: i64,
    currency: Currency,
}

#[derive(Deserialize)]
struct RawMoney {
    minor: i64,
    currency: Currency,
}

impl TryFrom<RawMoney> for Money {
    type Error = MoneyError;
    fn try_from(raw: RawMoney) -> Result<Self, MoneyError> {
        Self::new(raw.minor, raw.currency)
    }
}

impl Money {
    /// One hundred billion minor units: far above any invoice, and exactly representable as a JavaScript number, which the customer's own
    /// front end uses.
    pub const MAX_MINOR: i64 = 100_000_000_000;

    /// An amount of `minor` units.
    pub fn new(minor: i64, currency: Currency) -> Result<Self, MoneyError> {
        if minor < 0 {
            return Err(MoneyError::Negative);
        }
        if minor > Self::MAX_MINOR {
            return Err(MoneyError::TooLarge);
        }
        Ok(Self { minor, currency })
    }

    /// Nothing, in a currency.
    pub fn zero(currency: Currency) -> Self {
        Self { minor: 0, currency }
    }

    /// The number of minor units.
    pub fn minor(self) -> i64 {
        self.minor
    }

    /// The currency.
    pub fn currency(self) -> Currency {
        self.currency
    }

    /// Whether it is nothing.
    pub fn is_zero(self) -> bool {
        self.minor == 0
    }

    /// The sum of two amounts of one currency.
    pub fn plus(self, other: Self) -> Result<Self, MoneyError> {
        self.same_currency(other)?;
        let minor = self.minor.checked_add(other.minor).ok_or(MoneyError::TooLarge)?;
        Self::new(minor, self.currency)
    }

    /// The difference of two amounts of one currency; a negative difference is refused.
    pub fn minus(self, other: Self) -> Result<Self, MoneyError> {
        self.same_currency(other)?;
        let minor = self.minor.checked_sub(other.minor).ok_or(MoneyError::Negative)?;
        Self::new(minor, self.currency)
    }

    /// The amount times a count, for example a price per seat.
    pub fn times(self, count: u32) -> Result<Self, MoneyError> {
        let minor = self.minor.checked_mul(i64::from(count)).ok_or(MoneyError::TooLarge)?;
        Self::new(minor, self.currency)
    }

    /// The share of this monthly amount that falls on `days` of `month_days` days, rounded **down** to the minor unit: what does not divide
    /// is the customer's.
    pub fn share(self, days: u32, month_days: u32) -> Result<Self, MoneyError> {
        if month_days == 0 || days > month_days {
            return Err(MoneyError::BadShare);
        }
        let whole = self.minor.checked_mul(i64::from(days)).ok_or(MoneyError::TooLarge)?;
        let minor = whole.checked_div(i64::from(month_days)).ok_or(MoneyError::BadShare)?;
        Self::new(minor, self.currency)
    }

    /// What `days` at this monthly price weigh: minor units × days. See [`crate::change`].
    pub fn weight(self, days: u32) -> Result<i64, MoneyError> {
        self.minor.checked_mul(i64::from(days)).ok_or(MoneyError::TooLarge)
    }

    /// The price of days of that weight, in the month that `period` lies in, rounded **down** to the minor unit.
    pub fn of_weight(weight: i64, period: Period, currency: Currency) -> Result<Self, MoneyError> {
        Self::new(weight.checked_div(i64::from(period.month_days())).ok_or(MoneyError::BadShare)?, currency)
    }

    /// The value-added tax inside a tax-inclusive price: one eleventh, rounded down (Korean VAT is 10 % of the supply price; `PortOne`
    /// computes the same share when none is stated). Foreign-currency billing of a Korean `SaaS` is zero-rated export, so dollars carry none.
    #[must_use]
    pub fn vat_included(self) -> Self {
        let minor = match self.currency {
            Currency::Krw => self.minor.checked_div(11).unwrap_or(0),
            Currency::Usd => 0,
        };
        Self { minor, currency: self.currency }
    }

    fn same_currency(self, other: Self) -> Result<(), MoneyError> {
        if self.currency == other.currency { Ok(()) } else { Err(MoneyError::Mixed(self.currency, other.currency)) }
    }
}

/// `30,000원` or `$30.00`: the form used in mails, pages and reports.
impl std::fmt::Display for Money {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.currency {
            Currency::Krw => write!(f, "{}원", self.currency.shown(self.minor)),
            Currency::Usd => write!(f, "${}", self.currency.shown(self.minor)),
        }
    }
}

fn grouped(number: i64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len().saturating_mul(2));
    for (i, c) in digits.chars().enumerate() {
        let left = digits.len().saturating_sub(i);
        if i > 0 && left.checked_rem(3) == Some(0) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn krw(minor: i64) -> Money {
        Money::new(minor, Currency::Krw).unwrap()
    }

    #[test]
    fn won_and_dollars_print_as_their_readers_write_them() {
        assert_eq!(krw(30_000).to_string(), "30,000원");
        assert_eq!(krw(0).to_string(), "0원");
        assert_eq!(krw(900).to_string(), "900원");
        assert_eq!(krw(1_234_567).to_string(), "1,234,567원");
        assert_eq!(Money::new(3_000, Currency::Usd).unwrap().to_string(), "$30.00");
        assert_eq!(Money::new(123_456_705, Currency::Usd).unwrap().to_string(), "$1,234,567.05");
    }

    #[test]
    fn currencies_do_not_mix() {
        let usd = Money::new(1, Currency::Usd).unwrap();
        assert_eq!(krw(1).plus(usd), Err(MoneyError::Mixed(Currency::Krw, Currency::Usd)));
        assert_eq!(usd.minus(krw(1)), Err(MoneyError::Mixed(Currency::Usd, Currency::Krw)));
    }

    #[test]
    fn money_is_never_negative_and_never_wraps() {
        assert_eq!(Money::new(-1, Currency::Krw), Err(MoneyError::Negative));
        assert_eq!(krw(1).minus(krw(2)), Err(MoneyError::Negative));
        assert_eq!(krw(Money::MAX_MINOR).plus(krw(1)), Err(MoneyError::TooLarge));
        assert_eq!(krw(Money::MAX_MINOR).times(u32::MAX), Err(MoneyError::TooLarge));
    }

    #[test]
    fn the_largest_amount_and_nothing_are_amounts() {
        assert_eq!(krw(Money::MAX_MINOR).minor(), 100_000_000_000);
        assert_eq!(Money::new(100_000_000_001, Currency::Krw), Err(MoneyError::TooLarge));
        assert_eq!(krw(0), Money::zero(Currency::Krw));
    }

    #[test]
    fn a_share_is_of_a_month_that_has_those_days() {
        assert_eq!(krw(31).share(31, 31), Ok(krw(31)));
        assert_eq!(krw(31).share(0, 31), Ok(krw(0)));
        for (days, month_days) in [(32, 31), (0, 0), (1, 0)] {
            assert_eq!(krw(31).share(days, month_days), Err(MoneyError::BadShare), "{days} of {month_days}");
        }
    }

    #[test]
    fn a_currency_survives_its_code_and_others_are_not_billed() {
        for currency in [Currency::Krw, Currency::Usd] {
            assert_eq!(Currency::from_code(currency.code()), Some(currency));
        }
        assert_eq!(Currency::from_code("JPY"), None);
    }

    #[test]
    fn a_stored_negative_amount_is_refused() {
        let text = "minor = -5\ncurrency = \"KRW\"";
        assert!(toml::from_str::<Money>(text).is_err());
    }

    #[test]
    fn vat_is_an_eleventh_of_won_and_nothing_of_dollars() {
        assert_eq!(krw(11_000).vat_included(), krw(1_000));
        assert!(Money::new(1_100, Currency::Usd).unwrap().vat_included().is_zero());
    }

    proptest! {
        #[test]
        fn two_shares_of_a_month_never_exceed_it_and_lose_less_than_two_units(
            minor in 0..=1_000_000_000i64, month_days in 28..=31u32, cut in 0..=31u32,
        ) {
            let cut = cut.min(month_days);
            let whole = krw(minor);
            let sum = whole.share(cut, month_days).unwrap().plus(whole.share(month_days.abs_diff(cut), month_days).unwrap()).unwrap();
            prop_assert!(sum.minor() <= minor && sum.minor().abs_diff(minor) <= 1);
        }

        #[test]
        fn adding_then_subtracting_is_nothing(a in 0..=Money::MAX_MINOR / 2, b in 0..=Money::MAX_MINOR / 2) {
            prop_assert_eq!(krw(a).plus(krw(b)).unwrap().minus(krw(b)).unwrap(), krw(a));
        }

        #[test]
        fn grouping_keeps_every_digit(n in 0..=Money::MAX_MINOR) {
            prop_assert_eq!(grouped(n).replace(',', ""), n.to_string());
        }
    }
}
