//! The settings that make things go wrong, and what they come to for one attempt.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::behavior::{Behavior, Part, Plain};
use super::ids::Seed;

/// What a rule is about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Operation {
    /// Charges. Rules about webhooks and answers without an operation are about all of them, however.
    #[default]
    Charge,
    /// Cancellations.
    Cancel,
    /// Billing keys, from the opening of their window to their deletion: only webhooks and answers.
    Issue,
}

impl Operation {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Charge => "charge",
            Self::Cancel => "cancel",
            Self::Issue => "issue",
        }
    }
}

/// A probability, in billionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Rate(u32);

impl Rate {
    /// Certainty.
    pub const ALWAYS: Self = Self(Self::WHOLE);
    const WHOLE: u32 = 1_000_000_000;

    fn hits(self, number: u64) -> bool {
        u128::from(number) * u128::from(Self::WHOLE) < u128::from(self.0) << 64
    }
}

impl TryFrom<f64> for Rate {
    type Error = String;

    fn try_from(rate: f64) -> Result<Self, String> {
        if !(0.0..=1.0).contains(&rate) {
            return Err(format!("a rate is a number from 0 to 1, not {rate}"));
        }
        let digits = format!("{rate:.9}").replace('.', "");
        digits.parse().map(Self).map_err(|_| format!("a rate is a number from 0 to 1, not {rate}"))
    }
}

impl From<Rate> for f64 {
    fn from(Rate(billionths): Rate) -> Self {
        format!("{}.{:09}", billionths / Rate::WHOLE, billionths % Rate::WHOLE).parse().unwrap_or_default()
    }
}

/// A behaviour, for one billing key or for all, always or now and then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rule {
    /// The key it is about. `None`: all.
    #[serde(default)]
    pub billing_key: Option<String>,
    /// What happens.
    pub behavior: Behavior,
    /// How often, by a hash of seed, behaviour, key, payment and attempt.
    #[serde(default = "always")]
    pub rate: Rate,
    /// Only on this many first attempts on a payment. `None`: on all.
    #[serde(default)]
    pub attempts: Option<u32>,
    /// For network faults: on how many requests of one attempt. `None`: on the first, so that sending it again goes well.
    #[serde(default)]
    pub requests: Option<u32>,
    /// What it happens to. `None`: to charges; webhooks and answers: to all.
    #[serde(default)]
    pub operation: Option<Operation>,
}

fn always() -> Rate {
    Rate::ALWAYS
}

impl Rule {
    /// The behaviour, always, for one key or for all.
    pub fn new(billing_key: Option<String>, behavior: Behavior) -> Self {
        Self { billing_key, behavior, rate: Rate::ALWAYS, attempts: None, requests: None, operation: None }
    }
}

/// All settings. The rules overlay what each billing key does by itself; of several about the same thing the last one counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct FaultSettings {
    /// Decides, with what it is about, whether a rate hits.
    pub seed: u64,
    /// How long `hang` keeps the caller waiting, in real milliseconds.
    pub hang_ms: u64,
    /// The bounds of how long `slow` does, in real milliseconds.
    pub slow_ms: (u64, u64),
    /// How late `webhook_late` is, and how long `webhook_reordered` waits at most, in seconds of the sandbox's clock.
    pub late_seconds: u32,
    /// How long `pending` stays so, and a refund of `PayPal`'s, in seconds of the sandbox's clock.
    pub pending_seconds: u32,
    /// How many charges are taken within any second of the sandbox's clock; the others are answered with 429, and nothing is done. `None`: all
    /// that come.
    pub charges_per_second: Option<u32>,
    /// Whether the gateways' own rules for windows and charges (lengths, required fields, currencies) are applied.
    pub pg_rules: bool,
    /// The rules.
    pub rules: Vec<Rule>,
}

impl Default for FaultSettings {
    fn default() -> Self {
        Self {
            seed: 0,
            hang_ms: 61_000,
            slow_ms: (1_000, 20_000),
            late_seconds: 6 * 3600,
            pending_seconds: 3600,
            charges_per_second: None,
            pg_rules: true,
            rules: Vec::new(),
        }
    }
}

impl FaultSettings {
    /// The settings that a request to the control API asks for, given those in force.
    ///
    /// `{"reset":true}` is `initial`; one rule on its own (`{"behavior":…}`) takes the place of the one with the same key, behaviour
    /// and operation, or is added; anything else replaces what it names: `rules` as a whole.
    pub(crate) fn requested(&self, initial: &Self, request: &Value) -> Result<Self, String> {
        let object = request.as_object().ok_or("an object is expected")?;
        let mut object = object.clone();
        let mut settings = match object.remove("reset") {
            Some(Value::Bool(true)) => initial.clone(),
            Some(Value::Bool(false)) | None => self.clone(),
            Some(_) => return Err("`reset` is true or false".to_owned()),
        };
        if object.contains_key("behavior") {
            let rule: Rule = serde_json::from_value(object.into()).map_err(|error| error.to_string())?;
            settings.put(rule);
            return Ok(settings);
        }
        let mut merged = serde_json::to_value(&settings).map_err(|error| error.to_string())?;
        if let Some(fields) = merged.as_object_mut() {
            fields.extend(object);
        }
        let settings: Self = serde_json::from_value(merged).map_err(|error| error.to_string())?;
        if settings.slow_ms.0 > settings.slow_ms.1 {
            return Err("`slowMs` is [least, most]".to_owned());
        }
        Ok(settings)
    }

    fn put(&mut self, rule: Rule) {
        let same = |old: &&mut Rule| {
            old.billing_key == rule.billing_key && old.behavior == rule.behavior && old.operation == rule.operation
        };
        match self.rules.iter_mut().find(same) {
            Some(old) => *old = rule,
            None => self.rules.push(rule),
        }
    }

    /// What is to happen to one attempt.
    pub(crate) fn plan(&self, about: &About<'_>) -> Plan {
        let mut plan = Plan::default();
        if let Some(base) = about.base
            && (about.operation == Operation::Charge || matches!(base.part(), Part::Webhook | Part::Answer))
        {
            plan.add(base, 1, about.attempt);
        }
        for rule in self.rules.iter().filter(|rule| self.applies(rule, about)) {
            plan.add(&rule.behavior, rule.requests.unwrap_or(1), about.attempt);
        }
        plan
    }

    fn applies(&self, rule: &Rule, about: &About<'_>) -> bool {
        let operation = match (rule.operation, rule.behavior.part()) {
            (Some(operation), _) => operation == about.operation,
            (None, Part::Webhook | Part::Answer) => true,
            (None, Part::Outcome | Part::Network) => about.operation == Operation::Charge,
        };
        let key = rule.billing_key.as_deref().is_none_or(|key| key == about.billing_key);
        let attempt = rule.attempts.is_none_or(|attempts| about.attempt <= attempts);
        let parts = [&rule.behavior.to_string(), about.billing_key, about.payment_id, &about.attempt.to_string()];
        operation && key && attempt && rule.rate.hits(Seed(self.seed).number(&parts))
    }

    /// How long `slow` takes, for one attempt.
    pub(crate) fn slow_for(&self, payment_id: &str, attempt: u32) -> u64 {
        let (least, most) = self.slow_ms;
        let span = most.saturating_sub(least).saturating_add(1);
        least.saturating_add(Seed(self.seed).below(span, &["slow", payment_id, &attempt.to_string()]))
    }
}

/// What a plan is made for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct About<'a> {
    pub(crate) operation: Operation,
    pub(crate) base: Option<&'a Behavior>,
    pub(crate) billing_key: &'a str,
    pub(crate) payment_id: &'a str,
    pub(crate) attempt: u32,
}

/// What is to happen to one attempt.
#[derive(Debug, Clone, Default)]
pub(crate) struct Plan {
    /// `None`: approval.
    pub(crate) outcome: Option<Behavior>,
    /// What, and to how many requests.
    pub(crate) network: Option<(Plain, u32)>,
    pub(crate) webhook: Vec<Plain>,
    pub(crate) unknown_fields: bool,
}

impl Plan {
    fn add(&mut self, behavior: &Behavior, requests: u32, attempt: u32) {
        match behavior {
            Behavior::Approve => self.outcome = None,
            Behavior::Decline { first, .. } => {
                if first.is_none_or(|first| attempt <= first) {
                    self.outcome = Some(behavior.clone());
                }
            }
            Behavior::Plain(plain) => match behavior.part() {
                Part::Outcome => self.outcome = Some(behavior.clone()),
                Part::Network => self.network = Some((*plain, requests)),
                Part::Webhook => self.webhook.push(*plain),
                Part::Answer => self.unknown_fields = true,
            },
        }
    }

    pub(crate) fn has(&self, flaw: Plain) -> bool {
        self.webhook.contains(&flaw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn asked(settings: &FaultSettings, request: &Value) -> Result<FaultSettings, String> {
        settings.requested(&FaultSettings::default(), request)
    }

    fn about(payment_id: &str, attempt: u32) -> About<'_> {
        About { operation: Operation::Charge, base: None, billing_key: "key", payment_id, attempt }
    }

    #[test]
    fn the_settings_survive_json() {
        let settings = asked(
            &FaultSettings::default(),
            &json!({"seed": 7, "hangMs": 5, "rules": [{"behavior": "hang", "rate": 0.01}]}),
        )
        .unwrap();
        assert_eq!(settings.hang_ms, 5);
        let json = serde_json::to_value(&settings).unwrap();
        assert_eq!(json["rules"][0]["rate"], json!(0.01));
        assert_eq!(json["slowMs"], json!([1000, 20000]));
        assert_eq!(serde_json::from_value::<FaultSettings>(json).unwrap(), settings);
    }

    #[test]
    fn one_rule_on_its_own_is_added_and_reset_takes_all_away() {
        let one = json!({"billingKey": "a", "behavior": "pending"});
        let settings = asked(&asked(&FaultSettings::default(), &one).unwrap(), &one).unwrap();
        assert_eq!(settings.rules.len(), 1);
        assert_eq!(asked(&settings, &json!({"reset": true})).unwrap(), FaultSettings::default());
    }

    #[test]
    fn nonsense_is_refused() {
        let refused = |request| asked(&FaultSettings::default(), &request).unwrap_err();
        assert!(refused(json!({"behavior": "explode"})).contains("known are"));
        assert!(refused(json!({"rules": [{"behavior": "hang", "rate": 1.5}]})).contains("from 0 to 1"));
        assert!(refused(json!({"bahavior": "hang"})).contains("bahavior"));
    }

    #[test]
    fn a_rate_hits_the_same_payments_every_time_and_about_as_often_as_it_says() {
        let settings = asked(&FaultSettings::default(), &json!({"seed": 3, "behavior": "hang", "rate": 0.1})).err();
        assert!(settings.is_some(), "a rule on its own has no seed");
        let settings =
            asked(&FaultSettings::default(), &json!({"seed": 3, "rules": [{"behavior": "hang", "rate": 0.1}]}))
                .unwrap();
        let hits =
            || (0..2000).filter(|n| settings.plan(&about(&n.to_string(), 1)).network.is_some()).collect::<Vec<_>>();
        assert_eq!(hits(), hits());
        assert!((140..260).contains(&hits().len()), "{}", hits().len());
    }

    #[test]
    fn a_decline_of_the_first_attempts_lets_later_ones_pass() {
        let settings = asked(&FaultSettings::default(), &json!({"behavior": "decline:over_limit:2"})).unwrap();
        let declined = [1, 2, 3].map(|attempt| settings.plan(&about("p", attempt)).outcome.is_some());
        assert_eq!(declined, [true, true, false]);
    }
}
