// The rows that the functions write are the rows that the Rust functions write, attribute by attribute: the same customers are collected from in a
// sandbox that runs the Rust handlers, and in one that runs none.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { banksAreDown, batchOf, messageTo, World } from './harness.mjs';

const customers = {
  card: {},
  english: { locale: 'en', planType: 'pro', teamSeats: 7 },
  dollars: { pgProvider: 'PAYPAL_V2', currency: 'USD', locale: 'en' },
  inicis: { pgProvider: 'INICIS_V2', name: '아주 긴 이름을 가진 어느 고객의 회사' },
  kcp: { pgProvider: 'KCP_V2', behavior: 'decline:over_limit' },
  nice: { pgProvider: 'NICE_V2', behavior: 'decline:expired_card' },
  other: { pgProvider: 'SMARTRO_V2' },
  soft: { behavior: 'decline:insufficient_funds' },
  hard: { behavior: 'decline:stolen_card' },
  strange: { behavior: 'decline:NEVER_SEEN' },
  gone: { behavior: 'key_deleted' },
  html: { behavior: 'html_5xx' },
  empty: { behavior: 'empty_5xx' },
  busy: { behavior: 'too_many_requests' },
  unheard: { behavior: 'unknown_error_type' },
  outstanding: { behavior: 'outstanding' },
  unanswered: { behavior: 'drop_after_success' },
  broken: { behavior: 'html_5xx_after_success' },
  pending: { pgProvider: 'PAYPAL_V2', currency: 'USD', behavior: 'pending' },
  usedUp: { behavior: 'max_transactions' },
};

/** What two runs differ in: moments of the clock (not days), names that the simulator makes up, and what caused it. */
const CLOCK = new Set(['createdAt', 'updatedAt', 'startedAt', 'endedAt', 'paidAt', 'firstFailedAt', 'since', 'at', 'leaseUntil', 'startDate']);
const MADE_UP = new Set(['billingKey', 'pgTxId', 'transactionId', 'receiptUrl', 'cause', 'id']);

function comparable(value) {
  if (Array.isArray(value)) return value.map(comparable);
  if (value === null || typeof value !== 'object') return value;
  const known = Object.entries(value).filter(([, field]) => field !== undefined);
  const entries = known.map(([name, field]) => [name, CLOCK.has(name) || MADE_UP.has(name) ? typeof field : comparable(field)]);
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}

async function rowsOf(world) {
  const rows = {};
  for (const id of Object.keys(customers)) {
    const invoice = await world.invoice(id);
    // The notifier of the full sandbox marks what it has mailed.
    const events = (await world.events(invoice)).map(({ mailedAt, mailLeaseUntil, ...event }) => {
      return event.kind === 'payment_unknown' ? { ...event, detail: typeof event.detail } : event; // in words of their own
    });
    rows[id] = comparable({ invoice, subscription: await world.subscription(id), events });
  }
  return rows;
}

/** As many as a batch takes. */
const batches = (ids) => (ids.length === 0 ? [] : [ids.slice(0, 10), ...batches(ids.slice(10))]);

test('the rows are those that the Rust functions write', { skip: banksAreDown() && 'banks are down in Seoul' }, async () => {
  const [rust, node] = await Promise.all([World.open({ bare: false }), World.open()]);
  try {
    for (const world of [rust, node]) {
      // No webhook, so that both worlds know what the charges' own answers said.
      await world.console('portone/faults', { rules: [{ behavior: 'webhook_lost' }, { behavior: 'webhook_lost', operation: 'issue' }] });
      for (const [id, more] of Object.entries(customers)) await world.customer(id, more);
    }
    await rust.console('triggers/planner', {});
    const worker = await node.start('worker');
    for (const ids of batches(Object.keys(customers))) await worker.invoke(batchOf(...ids.map((id) => messageTo(id))));
    // What PortOne knows of the lost answers, told by webhooks, and again.
    const webhook = await node.start('webhook');
    for (const id of ['unanswered', 'broken', 'unanswered']) {
      const { paymentId } = await node.invoice(id);
      const { headers, body } = rust.webhook('Transaction.Paid', { paymentId });
      const answer = await fetch(`${rust.ready.api}/api/portone/billing-webhook`, { method: 'POST', headers, body });
      const same = await webhook.invoke(node.webhook('Transaction.Paid', { paymentId }));
      assert.deepEqual([same.statusCode, same.body], [answer.status, await answer.text()]);
    }
    const [expected, written] = [await rowsOf(rust), await rowsOf(node)];
    for (const id of Object.keys(customers)) assert.deepEqual(written[id], expected[id], id);
  } finally {
    rust.close();
    node.close();
  }
});
