// Rules that no sandbox can be brought to show on any day.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { declineOf, isHard } from '../src/shared/declines.mjs';
import { banksAreDown, claim, openInvoice, paymentIdOf, settle } from '../src/shared/rules.mjs';

const at = (text) => Date.parse(`${text}+09:00`);
const terms = { storeId: 'store-1', brand: 'Sivera', planNames: {} };
const agreed = { planType: 'standard', teamSeats: 3, monthlyAmount: 30_000, currency: 'KRW' };
const subscription = { userId: 'user_1', subscriptionId: 'sub_1', period: '2026-12-01', ...agreed };
const opened = (more, now = at('2026-12-01T10:00:00')) => openInvoice({ ...subscription, ...more }, terms, now);

test('a paymentId is the one that the Rust functions derive', () => {
  assert.equal(paymentIdOf('store-1', subscription), 'invXMNEIDRFNBPRBQBF3BL5TXR7PTI3ZEVW');
  const differing = [{ userId: 'user_2' }, { subscriptionId: 'sub_2' }, { period: '2027-01-01' }];
  const others = differing.map((more) => paymentIdOf('store-1', { ...subscription, ...more }));
  const all = [...others, paymentIdOf('store-2', subscription), paymentIdOf('store-1u', { ...subscription, userId: 'ser_1' })];
  assert.equal(new Set([...all, paymentIdOf('store-1', subscription)]).size, 6);
  for (const id of all) assert.match(id, /^inv[A-Z2-7]{32}$/);
});

test('a first period that starts within a month costs its share, rounded down', () => {
  assert.deepEqual([opened().amount, opened({ period: '2026-12-17' }).amount], [30_000, Math.floor((30_000 * 15) / 31)]);
  assert.deepEqual([opened({ period: '2028-02-29' }).amount, opened({ period: '2027-02-28' }).amount], [1034, 1071]);
});

test('an order name is in the language of its customer', () => {
  assert.equal(opened().orderName, 'Sivera standard - 12월 구독료');
  assert.equal(opened({ locale: 'en', period: '2027-01-01' }).orderName, 'Sivera standard - January subscription');
});

test('banks are down from half past eleven to half past midnight in Seoul', () => {
  const down = ['23:29:59', '23:30:00', '00:00:00', '00:29:59', '00:30:00'].map((time) => banksAreDown(at(`2026-12-01T${time}`)));
  assert.deepEqual(down, [false, true, true, true, false]);
});

const charging = (now, more) => ({ ...claim(opened({}, now), { billingKey: 'key' }, 'run:1', now), ...more });
const decline = (invoice, now, reason, ladder = [1, 3, 5], attempt = 1) =>
  settle(invoice, undefined, { kind: 'declined', attempt, reason, code: 'X' }, { now, ladder, cause: 'run:1' });

test('the next try is in the morning of another day, whatever the clock, the month and the rung say', () => {
  const next = (now, ladder, more) => decline(charging(now, more), now, 'insufficient_funds', ladder).invoice.nextAttemptAt;
  assert.equal(next(at('2026-12-01T10:00:07'), [1, 3, 5]), at('2026-12-02T10:00:00'));
  assert.equal(next(at('2026-12-31T23:59:59'), [1]), at('2027-01-01T10:00:00'));
  assert.equal(next(at('2027-01-01T00:00:01'), [1]), at('2027-01-02T10:00:00'));
  assert.equal(next(at('2026-12-09T15:00:00'), [1, 3, 5], { firstFailedAt: at('2026-12-01T10:00:00') }), at('2026-12-10T10:00:00'));
});

test('a decline of an earlier attempt changes nothing about a later one', () => {
  const now = at('2026-12-01T10:00:00');
  assert.equal(decline(charging(now), now, 'refused').invoice.status, 'failed');
  assert.equal(decline(charging(now), now, 'refused', [1, 3, 5], 2), undefined);
});

test('a code means something only at its own PG, and an unknown one is soft', () => {
  assert.deepEqual(declineOf('TOSSPAYMENTS', 'INVALID_CARD_EXPIRATION'), { reason: 'expired', code: 'INVALID_CARD_EXPIRATION' });
  assert.equal(declineOf('KCP_V2', 'INVALID_CARD_EXPIRATION').reason, 'unknown');
  assert.equal(declineOf('KCP_V2', 'INVALID').reason, 'unknown', 'a part of a code is none');
  assert.deepEqual(['expired', 'unknown', 'insufficient_funds'].map(isHard), [true, false, false]);
});
