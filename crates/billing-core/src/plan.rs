//! Plans and their prices, from a catalogue the operator edits.

use crate::calendar::Period;
use crate::money::{Currency, Money, MoneyError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use thiserror::Error;

/// The longest trial. What turns from free to paid needs the customer's consent within the 30 days before it does (Korea's E-Commerce Act,
/// article 13 (6), since February 2025); the consent given at checkout is such a one only if the trial is no longer.
pub const MAX_TRIAL_DAYS: u32 = 30;

/// The language of a customer's mails and pages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Locale {
    /// Korean.
    #[default]
    Ko,
    /// English.
    En,
}

impl Locale {
    /// The language of a BCP 47 tag: English for `en…`, otherwise Korean.
    pub fn from_tag(tag: &str) -> Self {
        if tag.get(..2).is_some_and(|head| head.eq_ignore_ascii_case("en")) { Self::En } else { Self::Ko }
    }

    /// The language's tag.
    pub fn tag(self) -> &'static str {
        match self {
            Self::Ko => "ko",
            Self::En => "en",
        }
    }
}

/// The plans that are sold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PlanType {
    /// Costs nothing and is never billed.
    Free,
    /// The team plan.
    Standard,
    /// The larger team plan.
    Pro,
}

impl PlanType {
    /// The name used in tables and in the catalogue.
    pub fn key(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Standard => "standard",
            Self::Pro => "pro",
        }
    }
}

/// What is sold to a customer: a plan, for so many seats, at a price for a whole month.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// The plan.
    pub plan: PlanType,
    /// How many seats.
    pub seats: u32,
    /// The price of a whole month.
    pub monthly: Money,
}

/// The catalogue: the brand, and for each paid plan its name and its price per seat and month.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalogue {
    brand: String,
    trial_days: u32,
    plans: BTreeMap<PlanType, Plan>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Plan {
    name: Names,
    seat: BTreeMap<CurrencyKey, Money>,
    max_seats: u32,
}

type CurrencyKey = &'static str;

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Names {
    ko: String,
    en: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCatalogue {
    brand: String,
    trial_days: u32,
    plans: BTreeMap<PlanType, RawPlan>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPlan {
    name: Names,
    max_seats: u32,
    price_per_seat: BTreeMap<Currency, i64>,
}

/// Why a catalogue or a choice from it was refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PlanError {
    /// The catalogue is not readable; the message says where.
    #[error("the plan catalogue cannot be read: {0}")]
    Unreadable(String),
    /// The catalogue is readable but makes no sense.
    #[error("the plan catalogue is wrong: {0}")]
    Wrong(String),
    /// The plan is not in the catalogue.
    #[error("plan {0:?} is not in the catalogue")]
    NotSold(PlanType),
    /// The plan is not sold in that currency.
    #[error("plan {0:?} has no price in {1:?}")]
    NoPrice(PlanType, Currency),
    /// Too few or too many seats.
    #[error("a {plan:?} team has 1 to {max} seats, not {seats}")]
    Seats {
        /// The plan.
        plan: PlanType,
        /// How many were asked for.
        seats: u32,
        /// The plan's limit.
        max: u32,
    },
    /// The price is not a sum of money.
    #[error(transparent)]
    Money(#[from] MoneyError),
}

impl Catalogue {
    /// Reads a catalogue from the text of its TOML file.
    pub fn parse(text: &str) -> Result<Self, PlanError> {
        let raw: RawCatalogue = toml::from_str(text).map_err(|error| PlanError::Unreadable(error.to_string()))?;
        if raw.brand.trim().is_empty() {
            return Err(PlanError::Wrong("`brand` is empty".into()));
        }
        if raw.plans.contains_key(&PlanType::Free) {
            return Err(PlanError::Wrong("`free` has no price and needs no entry".into()));
        }
        if raw.trial_days > MAX_TRIAL_DAYS {
            return Err(PlanError::Wrong(format!("`trial_days` is more than {MAX_TRIAL_DAYS}")));
        }
        let mut plans = BTreeMap::new();
        for (kind, plan) in raw.plans {
            if plan.max_seats == 0 || plan.price_per_seat.is_empty() {
                return Err(PlanError::Wrong(format!("{} needs at least one seat and one price", kind.key())));
            }
            let mut seat = BTreeMap::new();
            for (currency, minor) in plan.price_per_seat {
                let price = Money::new(minor, currency)?;
                if price.is_zero() {
                    return Err(PlanError::Wrong(format!("{} costs nothing in {}", kind.key(), currency.code())));
                }
                price.times(plan.max_seats)?;
                seat.insert(currency.code(), price);
            }
            plans.insert(kind, Plan { name: plan.name, seat, max_seats: plan.max_seats });
        }
        Ok(Self { brand: raw.brand, trial_days: raw.trial_days, plans })
    }

    /// The brand, first word of every order name and mail.
    pub fn brand(&self) -> &str {
        &self.brand
    }

    /// How many days a new subscription is free.
    pub fn trial_days(&self) -> u32 {
        self.trial_days
    }

    /// A team's price for a month.
    pub fn monthly(&self, plan: PlanType, seats: u32, currency: Currency) -> Result<Money, PlanError> {
        if plan == PlanType::Free {
            return Ok(Money::zero(currency));
        }
        let sold = self.plans.get(&plan).ok_or(PlanError::NotSold(plan))?;
        if seats == 0 || seats > sold.max_seats {
            return Err(PlanError::Seats { plan, seats, max: sold.max_seats });
        }
        let seat = sold.seat.get(currency.code()).ok_or(PlanError::NoPrice(plan, currency))?;
        Ok(seat.times(seats)?)
    }

    /// What a team is sold today.
    pub fn terms(&self, plan: PlanType, seats: u32, currency: Currency) -> Result<Terms, PlanError> {
        Ok(Terms { plan, seats, monthly: self.monthly(plan, seats, currency)? })
    }

    /// A plan's name for a customer.
    pub fn name(&self, plan: PlanType, locale: Locale) -> &str {
        match (self.plans.get(&plan), locale) {
            (Some(sold), Locale::Ko) => &sold.name.ko,
            (Some(sold), Locale::En) => &sold.name.en,
            (None, _) => plan.key(),
        }
    }

    /// The order name a customer reads on the card statement: `Sivera Standard - 12월 구독료`, in English
    /// `Sivera Standard - December subscription`.
    pub fn order_name(&self, plan: PlanType, locale: Locale, period: Period) -> String {
        let (brand, name) = (&self.brand, self.name(plan, locale));
        match locale {
            Locale::Ko => format!("{brand} {name} - {}월 구독료", period.month()),
            Locale::En => format!("{brand} {name} - {} subscription", month_in_english(period.month())),
        }
    }

    /// The order name of an upgrade within a period: `Sivera Pro - 12월 변경`, in English `Sivera Pro - December upgrade`.
    pub fn upgrade_order_name(&self, plan: PlanType, locale: Locale, period: Period) -> String {
        let (brand, name) = (&self.brand, self.name(plan, locale));
        match locale {
            Locale::Ko => format!("{brand} {name} - {}월 변경", period.month()),
            Locale::En => format!("{brand} {name} - {} upgrade", month_in_english(period.month())),
        }
    }
}

/// The English name of a month, 1 to 12.
pub fn month_in_english(month: i8) -> &'static str {
    const NAMES: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    usize::try_from(month).ok().and_then(|m| m.checked_sub(1)).and_then(|m| NAMES.get(m)).copied().unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
        brand = "Sivera"
        trial_days = 14
        [plans.standard]
        name = { ko = "Standard", en = "Standard" }
        max_seats = 100
        price_per_seat = { KRW = 10000, USD = 900 }
    "#;

    fn catalogue() -> Catalogue {
        Catalogue::parse(TEXT).unwrap()
    }

    #[test]
    fn a_team_pays_for_its_seats() {
        assert_eq!(catalogue().monthly(PlanType::Standard, 3, Currency::Krw).unwrap().to_string(), "30,000원");
        assert_eq!(catalogue().monthly(PlanType::Standard, 3, Currency::Usd).unwrap().to_string(), "$27.00");
        assert!(catalogue().monthly(PlanType::Free, 9, Currency::Krw).unwrap().is_zero());
    }

    #[test]
    fn the_largest_team_is_sold() {
        assert_eq!(catalogue().monthly(PlanType::Standard, 100, Currency::Usd).unwrap().minor(), 90_000);
    }

    #[test]
    fn a_catalogue_says_whose_it_is_and_how_long_a_trial_lasts() {
        assert_eq!((catalogue().brand(), catalogue().trial_days()), ("Sivera", 14));
    }

    #[test]
    fn a_plan_has_one_name_in_tables_and_in_the_catalogue() {
        for plan in [PlanType::Free, PlanType::Standard, PlanType::Pro] {
            assert_eq!(toml::Value::try_from(plan).unwrap().as_str(), Some(plan.key()));
        }
    }

    #[test]
    fn english_is_for_those_who_ask_for_it_and_korean_for_all_others() {
        for (tag, locale) in
            [("en", Locale::En), ("EN-us", Locale::En), ("ko-KR", Locale::Ko), ("ja", Locale::Ko), ("", Locale::Ko)]
        {
            assert_eq!(Locale::from_tag(tag), locale, "{tag}");
        }
        for locale in [Locale::Ko, Locale::En] {
            assert_eq!(Locale::from_tag(locale.tag()), locale);
            assert_eq!(toml::Value::try_from(locale).unwrap().as_str(), Some(locale.tag()));
        }
    }

    #[test]
    fn what_is_not_sold_is_refused() {
        let catalogue = catalogue();
        assert_eq!(catalogue.monthly(PlanType::Pro, 1, Currency::Krw), Err(PlanError::NotSold(PlanType::Pro)));
        for seats in [0, 101] {
            assert!(matches!(
                catalogue.monthly(PlanType::Standard, seats, Currency::Krw),
                Err(PlanError::Seats { max: 100, .. })
            ));
        }
    }

    #[test]
    fn the_order_name_is_the_guides_in_korean_and_in_english() {
        let period = Period::parse("2026-12-01").unwrap();
        assert_eq!(catalogue().order_name(PlanType::Standard, Locale::Ko, period), "Sivera Standard - 12월 구독료");
        assert_eq!(
            catalogue().order_name(PlanType::Standard, Locale::En, period),
            "Sivera Standard - December subscription"
        );
        let upgrade = |locale| catalogue().upgrade_order_name(PlanType::Standard, locale, period);
        assert_eq!(upgrade(Locale::Ko), "Sivera Standard - 12월 변경");
        assert_eq!(upgrade(Locale::En), "Sivera Standard - December upgrade");
    }

    #[test]
    fn a_plan_is_called_by_its_name_in_the_customers_language() {
        let text = TEXT.replace("ko = \"Standard\"", "ko = \"스탠더드\"");
        let catalogue = Catalogue::parse(&text).unwrap();
        assert_eq!(catalogue.name(PlanType::Standard, Locale::Ko), "스탠더드");
        assert_eq!(catalogue.name(PlanType::Standard, Locale::En), "Standard");
        assert_eq!(catalogue.name(PlanType::Free, Locale::Ko), "free", "what is not sold has no other name");
    }

    #[test]
    fn the_months_have_their_english_names() {
        let names: Vec<&str> = (0..=13).map(month_in_english).collect();
        assert_eq!(
            names.join(" "),
            " January February March April May June July August September October November December "
        );
    }

    #[test]
    fn a_wrong_catalogue_says_what_is_wrong() {
        for (from, to) in [
            ("KRW = 10000", "KRW = 0"),
            ("KRW = 10000", "KRW = -5"),
            ("KRW = 10000", "KRW = 10000, EUR = 5"),
            ("max_seats = 100", "max_seats = 0"),
            ("max_seats = 100", "max_seats = 4000000000"),
            ("price_per_seat = { KRW = 10000, USD = 900 }", "price_per_seat = {}"),
            ("[plans.standard]", "[plans.free]"),
            ("brand = \"Sivera\"", "brand = \" \""),
            ("[plans.standard]", "[plans.gold]"),
            ("trial_days = 14", "trial_days = 14\nsurprise = 1"),
            ("trial_days = 14", "trial_days = 31"),
        ] {
            let error = Catalogue::parse(&TEXT.replace(from, to)).unwrap_err();
            assert!(error.to_string().len() > 20, "{to}: {error}");
        }
    }
}
