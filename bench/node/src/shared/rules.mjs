// The rules of billing: ids, the calendar, and what becomes of an invoice and its subscription. Pure: no clock, no I/O.
//
// An invoice, a subscription and an event are the rows of the tables, with their attribute names; an attribute that does not apply is absent.
// Nothing is changed in place, so that a row can be compared with what it was.

import { createHash } from 'node:crypto';
import { isDeclined, isHard } from './declines.mjs';

const MINUTE = 60_000;
const DAY = 1440 * MINUTE;
const SEOUL = 540 * MINUTE; // +09:00, without daylight saving

/** How long a claim protects an attempt: longer than the worker may run. */
const LEASE = 3 * MINUTE;
/** PortOne keeps an idempotency key for 180 minutes: it is sent again until ten before, and a 404 proves something from ten after. */
const RESEND_WINDOW = 170 * MINUTE;
const LOST_AFTER = 190 * MINUTE;
const CLOCK_SKEW = 5 * MINUTE;
const MAX_DECLINES = 4;
const MAX_ATTEMPTS = 60;
const DUE_SHARDS = 4;

// Calendar. A period is the civil date of its first day in Seoul, and ends with its month.

const isoDate = (ms) => new Date(ms).toISOString().slice(0, 10);
const morningOf = (date) => Date.parse(`${date}T10:00:00+09:00`);
const morningAfter = (at, days) => morningOf(isoDate(at + SEOUL + days * DAY));
const yearMonthDay = (period) => period.split('-').map(Number);
const nextPeriod = (period) => {
  const [year, month] = yearMonthDay(period);
  return isoDate(Date.UTC(year, month, 1));
};

/** From 23:30 to 00:30 in Seoul nothing is charged. */
export function banksAreDown(now) {
  const minute = Math.floor(((now + SEOUL) % DAY) / MINUTE);
  return minute < 30 || minute >= 23 * 60 + 30;
}

// Identities.

const sha256 = (...parts) => parts.reduce((hash, part) => hash.update(part), createHash('sha256')).digest();

/** The invoice's name at PortOne: the same on every attempt, by anyone, forever. Never change it: open invoices would get another name. */
export function paymentIdOf(storeId, { userId, subscriptionId, period }) {
  const parts = [storeId, userId, subscriptionId, period].flatMap((part) => {
    const length = Buffer.alloc(8);
    length.writeBigUInt64BE(BigInt(Buffer.byteLength(part)));
    return [length, part];
  });
  const bits = BigInt(`0x${sha256(...parts).toString('hex', 0, 20)}`);
  const digits = bits.toString(32).padStart(32, '0');
  return `inv${digits.replace(/./g, (digit) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'[Number.parseInt(digit, 32)])}`;
}

export const idempotencyKeyOf = (invoice) => `${invoice.paymentId}-${invoice.attempts.at(-1).number}`;

// Invoices.

/** The invoice of the period that is owed; `version` 1 is never stored, for the claim of the first attempt creates the row. */
export function openInvoice(subscription, { storeId, brand, planNames }, now) {
  const { userId, subscriptionId, period, currency, customerName, customerEmail, customerPhone, locale = 'ko' } = subscription;
  const { planType, teamSeats, monthlyAmount } = subscription.nextTerms ?? subscription;
  const [year, month, day] = yearMonthDay(period);
  const days = new Date(Date.UTC(year, month, 0)).getUTCDate();
  const planName = planNames[planType]?.[locale] ?? planType;
  const paymentId = paymentIdOf(storeId, subscription);
  // The books of a month lie in four shards, by the last letter of the name.
  const booksShard = `${period.slice(0, 7)}#${paymentId.charCodeAt(paymentId.length - 1) % 4}`;
  const inEnglish = () => new Date(Date.UTC(year, month - 1)).toLocaleString('en', { month: 'long', timeZone: 'UTC' });
  return {
    paymentId,
    revision: 0,
    ...{ userId, subscriptionId, period, month: booksShard },
    // A first period that starts within a month costs its share by days, rounded down; exact, for a price is at most 10^11.
    amount: Math.floor((monthlyAmount * (days - day + 1)) / days),
    ...{ currency, planType, planName, teamSeats, customerName, customerEmail, customerPhone, locale },
    orderName: `${brand} ${planName} - ${locale === 'ko' ? `${month}월 구독료` : `${inEnglish()} subscription`}`,
    ...{ status: 'open', nextAttemptAt: now, attempts: [], attemptCount: 0, declineCount: 0 },
    ...{ createdAt: now, updatedAt: now, version: 1 },
  };
}

/** What may be done about an invoice: `attempt` it, `ask` about it, `give_up`; or nothing, and why. */
export function stepOf(invoice, subscription, now) {
  if (invoice.quarantine) return 'closed';
  const { status, nextAttemptAt, leaseUntil } = invoice;
  if (status === 'open') return nextAttemptAt > now ? 'waiting' : 'attempt';
  if (status === 'charging' && leaseUntil > now) return 'in_progress';
  if (isUndecided(invoice)) return 'ask';
  if (status !== 'failed') return 'closed';
  const { billingKey } = subscription;
  if (billingKey && billingKey !== invoice.attempts.at(-1)?.billingKey) return 'attempt';
  if (nextAttemptAt === undefined) return 'give_up';
  return nextAttemptAt > now ? 'waiting' : 'attempt';
}

/** Claims the next attempt: the durable intent. `undefined` beyond the limits. */
export function claim(invoice, { billingKey, pgProvider = 'UNKNOWN' }, cause, now) {
  if (invoice.declineCount >= MAX_DECLINES || invoice.attempts.length >= MAX_ATTEMPTS) return undefined;
  const last = invoice.attempts.at(-1);
  // An attempt that was refused for our credentials was never looked at: it is made again under its own number and key.
  const isUnseen = last?.outcome === 'refused' && isUnauthorized(last.code) && last.billingKey === billingKey;
  const number = isUnseen ? last.number : (last?.number ?? 0) + 1;
  const attempts = [...invoice.attempts.filter((attempt) => attempt.number < number), { number, startedAt: now, billingKey, pgProvider, cause }];
  return { ...moved(invoice, 'charging', { leaseUntil: now + LEASE }, now), attempts, attemptCount: attempts.length };
}

/** Takes the lease of the last attempt anew, to send it again under the same key. `undefined` if that is not allowed (any more). */
export function reclaim(invoice, now) {
  const isFree = invoice.status === 'unknown' || (invoice.status === 'charging' && invoice.leaseUntil <= now);
  const isInTime = now < invoice.attempts.at(-1).startedAt + RESEND_WINDOW;
  return isFree && isInTime && !invoice.quarantine ? moved(invoice, 'charging', { leaseUntil: now + LEASE }, now) : undefined;
}

export const isLost = (invoice, now) => now >= invoice.attempts.at(-1).startedAt + LOST_AFTER;
export const isUnauthorized = (type) => type === 'UNAUTHORIZED' || type === 'FORBIDDEN';
export const isUndecided = ({ status }) => ['charging', 'unknown', 'pending'].includes(status);
export const isPaid = ({ status }) => ['paid', 'partially_refunded', 'refunded'].includes(status);

function moved(invoice, status, moments, now) {
  const { nextAttemptAt, leaseUntil, since, paidAt, closedAt, refundedAmount, ...rest } = invoice;
  return { ...rest, status, ...moments, updatedAt: Math.max(now, invoice.updatedAt), version: invoice.version + 1 };
}

function ended(invoice, outcome, now, why) {
  if (invoice.attempts.length === 0) return invoice;
  const { reason, code, ...last } = invoice.attempts.at(-1);
  const attempts = [...invoice.attempts.slice(0, -1), { ...last, outcome, ...why, endedAt: now }];
  return { ...invoice, attempts, declineCount: attempts.filter(isDeclined).length };
}

// Subscriptions.

export const isDue = ({ status, parked, dueAt, period }, now) =>
  (status === 'active' || (status === 'past_due' && !parked)) && period !== undefined && dueAt <= now;

const owes = (subscription, invoice) => !subscription || subscription.period === invoice.period;

function movedTo(subscription, status, fields) {
  const { dueAt, dueShard, retryAt, parked, ...rest } = subscription;
  return { ...rest, status, ...fields, version: subscription.version + 1 };
}

/** Its period has begun: what it was to become with it, it is now. */
function begun(subscription, status, fields) {
  const { nextTerms, billed, ...rest } = subscription;
  const dueShard = sha256(subscription.subscriptionId)[0] % DUE_SHARDS;
  return movedTo({ ...rest, ...nextTerms }, status, { ...fields, dueShard });
}

function over(subscription, status, fields) {
  const { nextTerms, billed, period, nextBillingDate, ...rest } = subscription;
  return movedTo(rest, status, fields);
}

// Facts: what PortOne says about an invoice. `settle` makes of one what is to be written in one transaction; `undefined`: the books say so
// already, or know better.

export function settle(invoice, subscription, fact, cx) {
  if (invoice.upgrade || subscription?.upgrade) throw new Error('upgrades are not handled here');
  if (invoice.quarantine) return undefined;
  if (fact.kind === 'paid') return paid(invoice, subscription, fact, cx);
  if (fact.kind === 'contradiction') return quarantined(invoice, subscription, fact.why, cx);
  if (!isUndecided(invoice) || invoice.attempts.at(-1).number !== fact.attempt) return undefined;
  const { now } = cx;
  switch (fact.kind) {
    case 'declined':
      return declined(invoice, subscription, fact, cx);
    case 'pending':
      if (invoice.status === 'pending') return undefined;
      return record(invoice, ended(moved(invoice, 'pending', { since: now }, now), 'pending', now), undefined, 'payment_pending', {}, cx);
    case 'unknown':
      if (invoice.status !== 'charging') return undefined;
      return record(invoice, ended(moved(invoice, 'unknown', { since: now }, now), 'unknown', now), undefined, 'payment_unknown', { detail: fact.why }, cx);
    case 'refused': {
      const next = reopened(invoice, subscription, fact.atOnce ? now : morningAfter(now, 1), now);
      return record(invoice, ended(next, 'refused', now, { code: fact.code }), undefined, 'payment_refused', { detail: fact.code }, cx);
    }
    case 'lost':
      return record(invoice, ended(reopened(invoice, subscription, now, now), 'lost', now), undefined, 'attempt_lost', {}, cx);
    default:
      throw new Error(`no such fact: ${fact.kind}`);
  }
}

const reopened = (invoice, subscription, nextAttemptAt, now) =>
  owes(subscription, invoice) ? moved(invoice, 'open', { nextAttemptAt }, now) : moved(invoice, 'void', { closedAt: now }, now);

function paid(invoice, subscription, { at, amount, proof }, cx) {
  if (amount.minor !== invoice.amount || amount.currency !== invoice.currency) {
    const why = `PortOne says ${amount.minor} ${amount.currency} was paid; owed is ${invoice.amount} ${invoice.currency}`;
    return quarantined(invoice, subscription, why, cx);
  }
  if (isPaid(invoice)) return undefined;
  if (invoice.supersededBy) return quarantined(invoice, subscription, 'paid under a payment id that PortOne had called used up and unpaid', cx);
  const next = { ...ended(moved(invoice, 'paid', { paidAt: at }, cx.now), 'paid', cx.now), ...proof };
  let advanced;
  if (subscription?.period === invoice.period) {
    const period = nextPeriod(invoice.period);
    const dueAt = morningOf(period);
    advanced = begun(subscription, 'active', { period, dueAt, nextBillingDate: dueAt });
  }
  const body = {
    kind: 'receipt',
    bought: boughtOf(invoice),
    vat: { minor: invoice.currency === 'KRW' ? Math.floor(invoice.amount / 11) : 0, currency: invoice.currency },
    paidAt: at,
    receiptUrl: proof.receiptUrl,
    nextBilling: advanced && !advanced.cancelAtPeriodEnd ? advanced.period : undefined,
  };
  const detail = advanced ? undefined : 'the subscription had ended or moved on before this was paid';
  return record(invoice, next, advanced, 'invoice_paid', { detail, body }, cx);
}

function declined(invoice, subscription, { reason, code }, cx) {
  const { now, ladder } = cx;
  const first = invoice.firstFailedAt ?? now;
  const decided = isUndecided(invoice) ? ended(invoice, 'declined', now, { reason, code }) : invoice;
  const next = { ...decided, firstFailedAt: first };
  const voided = () => moved(next, 'void', { closedAt: now }, now);
  if (!owes(subscription, invoice)) return record(invoice, voided(), undefined, 'payment_failed', { detail: code }, cx);
  if (subscription?.cancelAtPeriodEnd && !subscription.parked) {
    // Its customer does not want it any more: nothing is tried again.
    const body = { kind: 'subscription_ended', planName: invoice.planName, reason: 'canceled', endedAt: now };
    return record(invoice, voided(), over(subscription, 'canceled', { canceledAt: now }), 'payment_failed', { detail: code, body }, cx);
  }
  // Retries 1, 3 and 5 days after the first decline, never on the day of one; a hard decline waits as long for a new method.
  const rung = ladder[Math.max(next.declineCount, 1) - 1];
  if (rung === undefined) return uncollectible(next, invoice, subscription, cx);
  const retried = !isHard(reason);
  const until = retried ? Math.max(morningAfter(first, rung), morningAfter(now, 1)) : deadline(first, now, ladder);
  const failed = moved(next, 'failed', retried ? { nextAttemptAt: until } : {}, now);
  const late = subscription && !subscription.parked ? begun(subscription, 'past_due', { dueAt: until }) : undefined;
  const body = subscription?.parked ? undefined : { kind: 'payment_failed', bought: boughtOf(invoice), reason, retried, until };
  return record(invoice, failed, late, 'payment_failed', { detail: code, body }, cx);
}

const deadline = (first, declinedAt, ladder) => Math.max(morningAfter(first, ladder.at(-1)), morningAfter(declinedAt, 1));

/** A period that cannot even be attempted, because there is no method: the customer is asked for one. */
export const failWithoutMethod = (opened, subscription, cx) =>
  declined(opened, subscription, { reason: 'no_method', code: 'NO_BILLING_KEY' }, cx);

/** Gives up an invoice that only a new method could have saved, if none came in time. */
export function giveUp(invoice, subscription, cx) {
  const isOver = cx.now >= deadline(invoice.firstFailedAt ?? invoice.updatedAt, invoice.updatedAt, cx.ladder);
  const isOwed = subscription && isDue(subscription, cx.now) && subscription.period === invoice.period;
  const waits = isOwed && stepOf(invoice, subscription, cx.now) === 'give_up';
  return waits && isOver ? uncollectible(invoice, invoice, subscription, cx) : undefined;
}

function uncollectible(next, invoice, subscription, cx) {
  const { now } = cx;
  const isParked = subscription?.parked;
  const expired = subscription && !isParked ? over(subscription, 'expired', { expiredAt: now }) : undefined;
  const body = { kind: 'subscription_ended', planName: invoice.planName, reason: 'payment_failed', unpaid: boughtOf(invoice), endedAt: now };
  const closed = moved(next, 'uncollectible', { closedAt: now }, now);
  return record(invoice, closed, expired, 'invoice_uncollectible', { body: isParked ? undefined : body }, cx);
}

/** Our books and PortOne contradict each other: both rows are parked for a person. */
function quarantined(invoice, subscription, why, cx) {
  const { now } = cx;
  const moments = { updatedAt: Math.max(now, invoice.updatedAt), version: invoice.version + 1 };
  const next = invoice.status === 'charging' ? moved(invoice, 'unknown', { since: now }, now) : { ...invoice, ...moments };
  const parked = subscription?.period === invoice.period ? movedTo(subscription, 'past_due', { parked: true }) : undefined;
  return record(invoice, { ...next, quarantine: why }, parked, 'invoice_quarantined', { detail: why }, cx);
}

const boughtOf = ({ paymentId, planName, teamSeats, period, amount, currency }) => ({
  paymentId,
  planName,
  seats: teamSeats,
  period,
  amount: { minor: amount, currency },
});

function record(before, invoice, subscription, kind, { detail, body }, { now, cause }) {
  const at = Math.max(now, before.updatedAt);
  const { customerEmail: to, customerName: name, locale } = invoice;
  const event = {
    subject: invoice.paymentId,
    id: `${String(at).padStart(13, '0')}-${String(invoice.version).padStart(6, '0')}`,
    ...{ at, kind, cause, before: before.status, after: invoice.status, detail },
    notice: body && to ? { to, name, locale, body } : undefined,
  };
  return { invoice, subscription, event };
}

/** What a payment, as PortOne tells it, says about an invoice; `undefined` if nothing. */
export function factOf(seen, invoice) {
  const last = isUndecided(invoice) ? invoice.attempts.at(-1) : undefined;
  switch (seen.status) {
    case 'PAID':
      return { kind: 'paid', at: seen.at, amount: seen.amount, proof: seen.proof };
    case 'PAY_PENDING':
      return last && { kind: 'pending', attempt: last.number };
    case 'FAILED':
      return last && isOf(last, invoice, seen) ? { kind: 'declined', attempt: last.number, ...seen.decline } : undefined;
    default:
      return undefined;
  }
}

/** Whether a failure is the last attempt's and not the one's before: of its method, and nearer to its beginning than to the end of that one. */
function isOf({ startedAt, billingKey }, { attempts }, seen) {
  if (seen.billingKey !== undefined && seen.billingKey !== billingKey) return false;
  const endedBefore = attempts.at(-2)?.endedAt;
  const half = endedBefore === undefined ? CLOCK_SKEW : (startedAt - endedBefore) / 2;
  return startedAt - seen.at < Math.min(half, CLOCK_SKEW);
}
