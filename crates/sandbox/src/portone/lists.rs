//! Reading payments, and lists of everything.

use axum::extract::State;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

use super::call::Call;
use super::codes::{Currency, PgProvider};
use super::entities::{BillingKey, Method, Payment, PaymentStatus, Schedule, ScheduleStatus};
use super::faults::{About, Operation};
use super::refusal::Refusal;
use super::reply::Answer;
use super::state::State as Known;
use super::{PortOne, keys, view};

/// What a list looks back on if it is not told.
const WINDOW: SignedDuration = SignedDuration::from_hours(90 * 24);
/// How far into a list of pages one may look.
const MAX_REACH: i64 = 60_000;
/// The largest page by cursor.
const MAX_CURSOR_SIZE: i64 = 1000;
const DEFAULT_SIZE: i64 = 10;

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(default)]
struct Page {
    number: Option<i32>,
    size: Option<i32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Order {
    Asc,
    Desc,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum TimeField {
    RequestedAt,
    IssuedAt,
    DeletedAt,
    CreatedAt,
    TimeToPay,
    CompletedAt,
    StatusTimestamp,
    StatusChangedAt,
}

#[derive(Debug, Clone, Deserialize)]
struct TextSearch {
    field: String,
    value: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PaymentsInput {
    page: Option<Page>,
    filter: Option<PaymentFilter>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PaymentFilter {
    store_id: Option<String>,
    timestamp_type: Option<TimeField>,
    from: Option<Timestamp>,
    until: Option<Timestamp>,
    status: Option<Vec<StatusWord>>,
    methods: Option<Vec<String>>,
    pg_provider: Option<Vec<PgProvider>>,
    is_test: Option<bool>,
    is_scheduled: Option<bool>,
    sort_by: Option<TimeField>,
    sort_order: Option<Order>,
    version: Option<Version>,
    webhook_status: Option<String>,
    platform_type: Option<String>,
    currency: Option<Currency>,
    text_search: Option<Vec<TextSearch>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
enum Version {
    V1,
    V2,
}

/// Statuses as filters spell them: `PENDING` where payments say `PAY_PENDING`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum StatusWord {
    Ready,
    Pending,
    VirtualAccountIssued,
    Paid,
    Failed,
    PartialCancelled,
    Cancelled,
}

impl StatusWord {
    fn is(self, status: PaymentStatus) -> bool {
        let word = match status {
            PaymentStatus::Ready => Self::Ready,
            PaymentStatus::PayPending => Self::Pending,
            PaymentStatus::Paid => Self::Paid,
            PaymentStatus::PartialCancelled => Self::PartialCancelled,
            PaymentStatus::Cancelled => Self::Cancelled,
            PaymentStatus::Failed => Self::Failed,
        };
        self == word
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct CursorInput {
    store_id: Option<String>,
    from: Option<Timestamp>,
    until: Option<Timestamp>,
    cursor: Option<String>,
    size: Option<i32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct KeysInput {
    page: Option<Page>,
    sort: Option<Sort>,
    filter: Option<KeyFilter>,
}

#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Sort {
    by: Option<TimeField>,
    order: Option<Order>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct KeyFilter {
    store_id: Option<String>,
    time_range_field: Option<TimeField>,
    from: Option<Timestamp>,
    until: Option<Timestamp>,
    status: Option<Vec<KeyStatus>>,
    customer_id: Option<String>,
    platform_type: Option<String>,
    text_search: Option<TextSearch>,
    pg_providers: Option<Vec<PgProvider>>,
    methods: Option<Vec<String>>,
    version: Option<Version>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum KeyStatus {
    Issued,
    Deleted,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SchedulesInput {
    page: Option<Page>,
    sort: Option<Sort>,
    filter: Option<ScheduleFilter>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ScheduleFilter {
    store_id: Option<String>,
    billing_key: Option<String>,
    from: Option<Timestamp>,
    until: Option<Timestamp>,
    status: Option<Vec<ScheduleWord>>,
    is_for_test: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum ScheduleWord {
    Scheduled,
    Started,
    Succeeded,
    Failed,
    Revoked,
    Pending,
}

impl ScheduleWord {
    fn is(self, status: ScheduleStatus) -> bool {
        let word = match status {
            ScheduleStatus::Scheduled => Self::Scheduled,
            ScheduleStatus::Succeeded => Self::Succeeded,
            ScheduleStatus::Failed => Self::Failed,
            ScheduleStatus::Revoked => Self::Revoked,
            ScheduleStatus::Pending => Self::Pending,
        };
        self == word
    }
}

/// A window of time, both ends included.
fn window(from: Option<Timestamp>, until: Option<Timestamp>, now: Timestamp) -> (Timestamp, Timestamp) {
    let until = until.unwrap_or(now);
    (from.unwrap_or_else(|| until.saturating_sub(WINDOW).unwrap_or(Timestamp::MIN)), until)
}

fn is_in((from, until): (Timestamp, Timestamp), at: Option<Timestamp>) -> bool {
    at.is_some_and(|at| from <= at && at <= until)
}

impl Page {
    /// Its number, its size, and how many items come before it.
    fn bounds(self) -> Result<(i64, usize, usize), Refusal> {
        let number = i64::from(self.number.unwrap_or(0));
        let size = self.size.map_or(DEFAULT_SIZE, i64::from);
        if number < 0 || size < 1 || (number + 1) * size > MAX_REACH {
            return Err(Refusal::invalid(format!(
                "(page.number + 1) * page.size is more than {MAX_REACH}, or a number is negative"
            )));
        }
        let count = |number: i64| usize::try_from(number).unwrap_or(usize::MAX);
        Ok((number, count(size), count(number * size)))
    }
}

/// One page of the found, sorted by time and then by name.
fn page<'a, T>(
    mut found: Vec<(Option<Timestamp>, &'a str, &'a T)>,
    order: Order,
    page: Option<Page>,
    show: impl Fn(&T) -> Value,
) -> Result<Value, Refusal> {
    found.sort_by(|(at, name, _), (other_at, other, _)| (at, name).cmp(&(other_at, other)));
    page_of(&found, order, page, |(_, _, item)| Some(show(item)))
}

/// One page of what is in order.
fn page_of<T>(
    found: &[T],
    order: Order,
    page: Option<Page>,
    show: impl Fn(&T) -> Option<Value>,
) -> Result<Value, Refusal> {
    let (number, size, skipped) = page.unwrap_or_default().bounds()?;
    let items: Vec<_> = match order {
        Order::Asc => found.iter().skip(skipped).take(size).filter_map(show).collect(),
        Order::Desc => found.iter().rev().skip(skipped).take(size).filter_map(show).collect(),
    };
    Ok(json!({"items": items, "page": {"number": number, "size": size, "totalCount": found.len()}}))
}

fn show_payment(portone: &PortOne, state: &Known, payment: &Payment) -> Value {
    let ids = state.webhooks_of.get(&payment.id).map_or(&[][..], Vec::as_slice);
    let webhooks = ids.iter().filter_map(|id| state.webhooks.get(id));
    let billing_key = &payment.order.billing_key;
    let base = state.keys.get(billing_key).and_then(|key| key.behavior.as_ref());
    let about =
        About { operation: Operation::Charge, base, billing_key, payment_id: &payment.id, attempt: payment.attempt };
    view::payment(portone.store(), payment, webhooks, state.faults.plan(&about).unknown_fields)
}

/// `GET /payments/{paymentId}`
pub(crate) async fn payment(State(portone): State<PortOne>, call: Call) -> Answer {
    let read = || {
        portone.authorize(&call)?;
        portone.check_store(call.query("storeId"))?;
        let state = portone.lock();
        let not_found = || Refusal::new("PAYMENT_NOT_FOUND", "there is no such payment");
        let payment = state.payments.get(call.id("paymentId")).ok_or_else(not_found)?;
        Ok(show_payment(&portone, &state, payment))
    };
    read().into()
}

/// `GET /payments/{paymentId}/cash-receipt`: cards have none.
pub(crate) async fn cash_receipt(State(portone): State<PortOne>, call: Call) -> Answer {
    let read = || {
        portone.authorize(&call)?;
        portone.check_store(call.query("storeId"))?;
        Err(Refusal::new("CASH_RECEIPT_NOT_FOUND", "there is no cash receipt"))
    };
    read().into()
}

/// `GET /payments`
pub(crate) async fn payments(State(portone): State<PortOne>, call: Call) -> Answer {
    let read = || {
        portone.authorize(&call)?;
        let PaymentsInput { page: wanted, filter } = call.asked()?;
        let filter = filter.unwrap_or_default();
        portone.check_store(filter.store_id.as_deref())?;
        let state = portone.lock();
        let window = window(filter.from, filter.until, portone.now());
        let order = filter.sort_order.unwrap_or(Order::Desc);
        if filter.is_of_changes_alone() {
            return page_of(state.changed.within(window), order, wanted, |(_, id)| {
                state.payments.get(id).map(|payment| show_payment(&portone, &state, payment))
            });
        }
        let by_creation = filter.timestamp_type == Some(TimeField::CreatedAt);
        let within = |payment: &Payment| {
            is_in(window, Some(if by_creation { payment.created_at } else { payment.status_changed_at }))
        };
        let sort = |payment: &Payment| match filter.sort_by {
            Some(TimeField::StatusChangedAt) => payment.status_changed_at,
            _ => payment.requested_at,
        };
        let found = state.payments.values().filter(|payment| within(payment) && filter.takes(payment, &state));
        let found = found.map(|payment| (Some(sort(payment)), payment.id.as_str(), payment)).collect();
        page(found, order, wanted, |payment| show_payment(&portone, &state, payment))
    };
    read().into()
}

impl PaymentFilter {
    /// Whether it asks for the changes of status of a span, in their order, and for nothing else: as the nightly comparison does, page by page of
    /// all payments there are.
    fn is_of_changes_alone(&self) -> bool {
        let Self {
            store_id: _,
            from: _,
            until: _,
            sort_order: _,
            timestamp_type,
            sort_by,
            status,
            methods,
            pg_provider,
            is_test,
            is_scheduled,
            version,
            webhook_status,
            platform_type,
            currency,
            text_search,
        } = self;
        *timestamp_type != Some(TimeField::CreatedAt)
            && *sort_by == Some(TimeField::StatusChangedAt)
            && status.is_none()
            && methods.is_none()
            && pg_provider.is_none()
            && is_test.is_none()
            && is_scheduled.is_none()
            && version.is_none()
            && webhook_status.is_none()
            && platform_type.is_none()
            && currency.is_none()
            && text_search.is_none()
    }

    fn takes(&self, payment: &Payment, state: &Known) -> bool {
        let provider = &payment.channel.pg_provider;
        let last_webhook = state.webhooks_of.get(&payment.id).and_then(|ids| state.webhooks.get(ids.last()?));
        let webhook_status = last_webhook.and_then(|webhook| serde_json::to_value(webhook.status).ok());
        any_of(self.status.as_ref(), |word| word.is(payment.status))
            && any_of(self.methods.as_ref(), |method| method == method_word(payment.method))
            && any_of(self.pg_provider.as_ref(), |wanted| wanted.0 == *provider)
            && self.is_test.unwrap_or(true)
            && self.is_scheduled.is_none_or(|scheduled| scheduled == payment.schedule_id.is_some())
            && self.version.is_none_or(|version| version == Version::V2)
            && self.platform_type.as_ref().is_none_or(|platform| platform == "API")
            && self.currency.as_ref().is_none_or(|currency| currency.0 == payment.order.currency)
            && self
                .webhook_status
                .as_ref()
                .is_none_or(|status| webhook_status.as_ref().and_then(Value::as_str) == Some(status))
            && self.text_search.iter().flatten().all(|search| search.finds(payment))
    }
}

fn any_of<T>(wanted: Option<&Vec<T>>, is: impl Fn(&T) -> bool) -> bool {
    wanted.is_none_or(|wanted| wanted.is_empty() || wanted.iter().any(is))
}

fn method_word(method: Method) -> &'static str {
    match method {
        Method::Card => "CARD",
        Method::Paypal | Method::EasyPay => "EASY_PAY",
        Method::Mobile => "MOBILE",
        Method::Transfer => "TRANSFER",
    }
}

impl TextSearch {
    fn finds(&self, payment: &Payment) -> bool {
        let customer = &payment.order.customer;
        let fields = [
            ("PAYMENT_ID", Some(&payment.id)),
            ("TX_ID", Some(&payment.transaction_id)),
            ("SCHEDULE_ID", payment.schedule_id.as_ref()),
            ("PG_TX_ID", payment.pg_tx_id.as_ref()),
            ("BILLING_KEY", Some(&payment.order.billing_key)),
            ("ORDER_NAME", Some(&payment.order.name)),
            ("CUSTOMER_NAME", customer.name.as_ref()),
            ("CUSTOMER_EMAIL", customer.email.as_ref()),
            ("CUSTOMER_PHONE_NUMBER", customer.phone_number.as_ref()),
            ("FAIL_REASON", payment.failure.as_ref().map(|failure| &failure.reason)),
        ];
        let wanted = |name: &str| self.field == "ALL" || self.field == name;
        fields.iter().any(|(name, text)| wanted(name) && text.is_some_and(|text| text.contains(&self.value)))
    }

    fn finds_key(&self, key: &BillingKey) -> bool {
        let text = match self.field.as_str() {
            "BILLING_KEY" => Some(&key.key),
            "CUSTOMER_NAME" => key.customer.name.as_ref(),
            "CUSTOMER_EMAIL" => key.customer.email.as_ref(),
            "CUSTOMER_PHONE_NUMBER" => key.customer.phone_number.as_ref(),
            _ => None,
        };
        text.is_some_and(|text| text.contains(&self.value))
    }
}

/// `GET /payments-by-cursor`
pub(crate) async fn payments_by_cursor(State(portone): State<PortOne>, call: Call) -> Answer {
    let read = || {
        portone.authorize(&call)?;
        let CursorInput { store_id, from, until, cursor, size } = call.asked()?;
        portone.check_store(store_id.as_deref())?;
        let size = size.map_or(DEFAULT_SIZE, i64::from);
        if !(1..=MAX_CURSOR_SIZE).contains(&size) {
            return Err(Refusal::invalid(format!("`size` is from 1 to {MAX_CURSOR_SIZE}")));
        }
        let state = portone.lock();
        let window = window(from, until, portone.now());
        let after = cursor.as_deref().map(decode_cursor).transpose()?;
        let start = after.clone().unwrap_or((window.0, String::new()));
        let created = state.created.range(start..).filter(|place| Some(*place) != after.as_ref());
        let created = created.take_while(|(at, _)| *at <= window.1).filter(|(at, _)| *at >= window.0);
        let items = created.take(usize::try_from(size).unwrap_or(0)).filter_map(|place| {
            let payment = state.payments.get(&place.1)?;
            Some(json!({"payment": show_payment(&portone, &state, payment), "cursor": encode_cursor(place)}))
        });
        Ok(json!({"items": items.collect::<Vec<_>>()}))
    };
    read().into()
}

fn encode_cursor((at, id): &(Timestamp, String)) -> String {
    URL_SAFE_NO_PAD.encode(format!("{} {id}", at.as_millisecond()))
}

fn decode_cursor(cursor: &str) -> Result<(Timestamp, String), Refusal> {
    let decode = || {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
        let (at, id) = text.split_once(' ')?;
        Some((Timestamp::from_millisecond(at.parse().ok()?).ok()?, id.to_owned()))
    };
    decode().ok_or_else(|| Refusal::invalid("`cursor` is not one of ours"))
}

/// `GET /billing-keys`
pub(crate) async fn billing_keys(State(portone): State<PortOne>, call: Call) -> Answer {
    let read = || {
        portone.authorize(&call)?;
        let KeysInput { page: wanted, sort, filter } = call.asked()?;
        let (filter, sort) = (filter.unwrap_or_default(), sort.unwrap_or_default());
        portone.check_store(filter.store_id.as_deref())?;
        let state = portone.lock();
        let window = window(filter.from, filter.until, portone.now());
        let time = |key: &BillingKey, field: Option<TimeField>| match field {
            Some(TimeField::DeletedAt) => key.deleted_at,
            Some(TimeField::StatusTimestamp) => key.deleted_at.or(Some(key.issued_at)),
            _ => Some(key.issued_at),
        };
        let found = state.keys.values();
        let found = found.filter(|key| is_in(window, time(key, filter.time_range_field)) && filter.takes(key));
        let found = found.map(|key| (time(key, sort.by), key.key.as_str(), key)).collect();
        page(found, sort.order.unwrap_or(Order::Desc), wanted, |key| keys::view_of(&portone, &state, key))
    };
    read().into()
}

impl KeyFilter {
    fn takes(&self, key: &BillingKey) -> bool {
        let status = if key.deleted_at.is_some() { KeyStatus::Deleted } else { KeyStatus::Issued };
        any_of(self.status.as_ref(), |wanted| *wanted == status)
            && any_of(self.pg_providers.as_ref(), |wanted| wanted.0 == key.channel.pg_provider)
            && any_of(self.methods.as_ref(), |method| method == method_word(key.method))
            && self.customer_id.as_ref().is_none_or(|id| key.customer.id.as_ref() == Some(id))
            && self.platform_type.is_none()
            && self.version.is_none_or(|version| version == Version::V2)
            && self.text_search.as_ref().is_none_or(|search| search.finds_key(key))
    }
}

/// `GET /payment-schedules`
pub(crate) async fn schedules(State(portone): State<PortOne>, call: Call) -> Answer {
    let read = || {
        portone.authorize(&call)?;
        let SchedulesInput { page: wanted, sort, filter } = call.asked()?;
        let (filter, sort) = (filter.unwrap_or_default(), sort.unwrap_or_default());
        portone.check_store(filter.store_id.as_deref())?;
        let state = portone.lock();
        // By due time: what lies in the future is seen only if `until` says so.
        let window = window(filter.from, filter.until, portone.now());
        let time = |schedule: &Schedule| match sort.by {
            Some(TimeField::CreatedAt) => Some(schedule.created_at),
            Some(TimeField::CompletedAt) => schedule.completed_at,
            Some(TimeField::StatusTimestamp) => {
                schedule.revoked_at.or(schedule.completed_at).or(Some(schedule.created_at))
            }
            _ => Some(schedule.time_to_pay),
        };
        let takes = |schedule: &&Schedule| {
            is_in(window, Some(schedule.time_to_pay))
                && filter.billing_key.as_ref().is_none_or(|key| *key == schedule.order.billing_key)
                && any_of(filter.status.as_ref(), |word| word.is(schedule.status))
                && filter.is_for_test.unwrap_or(true)
        };
        let found = state.schedules.values().filter(takes);
        let found = found.map(|schedule| (time(schedule), schedule.id.as_str(), schedule)).collect();
        page(found, sort.order.unwrap_or(Order::Desc), wanted, |schedule| view::schedule(portone.store(), schedule))
    };
    read().into()
}
