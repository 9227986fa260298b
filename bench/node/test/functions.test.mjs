// The bundled functions, against a sandbox that runs none: `SANDBOX=<binary> npm test`, after `npm run build`.

import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { banksAreDown, batchOf, daysAfter, eventOf, inSeoul, messageTo, startFunction, todayInSeoul, World } from './harness.mjs';

const none = { batchItemFailures: [] };
const skip = banksAreDown() && 'banks are down in Seoul, and nothing is charged';
const kindsOf = (events) => events.map(({ kind }) => kind);
const countsOf = (names) => names.reduce((counts, name) => ({ ...counts, [name]: (counts[name] ?? 0) + 1 }), {});
const methodsOf = (requests) => requests.map(({ method }) => method);

describe('the events of events/', { skip }, () => {
  let world;
  let worker;
  let webhook;
  before(async () => {
    world = await World.open({ world: true });
    [worker, webhook] = await Promise.all([world.start('worker'), world.start('webhook')]);
    world.askedOfDynamodb.take();
    world.askedOfPortone.take();
  });
  after(() => world?.close());

  test('a batch is collected beside a message that is none of ours', async () => {
    const failed = { batchItemFailures: [{ itemIdentifier: '2e1424d4-f796-459a-8184-9c92662be605' }] };
    assert.deepEqual(await worker.invoke(eventOf('worker/batch-with-poison')), failed);
    const { invoices } = await world.console('invoices');
    const statuses = Object.fromEntries(invoices.map(({ subscriptionId, status }) => [subscriptionId, status]));
    const paid = Object.fromEntries([1, 2, 3, 4, 5, 6, 7].map((i) => [`sub-${i}`, 'paid']));
    assert.deepEqual(statuses, { ...paid, 'sub-8': 'failed', 'sub-9': 'unknown' });
    assert.equal(await world.waiting(), 1, 'the message of the lost answer comes back');
  });

  test('a charge costs its part of one read, two transactions and one call', () => {
    assert.deepEqual(countsOf(world.askedOfDynamodb.take()), { GetItem: 1, 'BatchGetItem of 9': 1, TransactWriteItems: 2 * 9 });
    const calls = world.askedOfPortone.take();
    assert.deepEqual(methodsOf(calls), Array(9).fill('POST'));
    for (const { path, key } of calls) assert.equal(key, `"${path.split('/')[2]}-1"`);
  });

  test('what is paid moves on, to the won, with one approval, and one event that has the receipt', async () => {
    const invoice = await world.invoice(3);
    const subscription = await world.subscription(3);
    assert.deepEqual([invoice.amount, invoice.currency, invoice.orderName], [30_000, 'KRW', 'Sivera Standard - 1월 구독료']);
    assert.deepEqual([subscription.status, subscription.period, subscription.dueAt], ['active', '2026-02-01', inSeoul('2026-02-01')]);
    assert.deepEqual((await world.approvals(invoice)).map(({ amount }) => amount), [30_000]);
    const events = await world.events(invoice);
    assert.deepEqual(kindsOf(events), ['invoice_paid']);
    assert.equal(events[0].notice.body.kind, 'receipt');
  });

  test('a webhook about a lost answer is settled, and costs no call the second time', async () => {
    const answer = async (name) => {
      const { statusCode, body } = await webhook.invoke(eventOf(`webhook/${name}`));
      return [statusCode, JSON.parse(body).result, methodsOf(world.askedOfPortone.take()), world.askedOfDynamodb.take()];
    };
    assert.deepEqual(await answer('paid'), [200, 'settled', ['GET'], ['GetItem', 'GetItem', 'TransactWriteItems']]);
    assert.deepEqual(await answer('paid'), [200, 'known', [], ['GetItem']]);
    assert.deepEqual(await answer('failed'), [200, 'known', [], ['GetItem']]);
    assert.deepEqual(await answer('forged'), [401, 'bad_signature', [], []]);
    const invoice = await world.invoice(9);
    assert.equal(invoice.status, 'paid');
    assert.deepEqual(kindsOf(await world.events(invoice)), ['payment_unknown', 'invoice_paid']);
    assert.equal((await world.approvals(invoice)).length, 1);
  });
});

describe('the worker', { skip }, () => {
  let world;
  let worker;
  before(async () => {
    world = await World.open({ readTimeout: 1 });
    worker = await world.start('worker');
  });
  after(() => world?.close());
  beforeEach(() => (world.askedOfPortone.take(), world.askedOfDynamodb.take(), world.sentToSqs.take()));
  const collect = (id, more) => worker.invoke(batchOf(messageTo(id, more)));

  test('a decline is retried on the ladder, each time under another key, and ends with the subscription', async () => {
    await world.customer('soft', { behavior: 'decline:insufficient_funds' });
    const today = todayInSeoul();
    const until = [];
    for (let attempt = 1; attempt <= 4; attempt += 1) {
      world.askedOfDynamodb.take();
      // A message that is handled late sees what fell due since.
      assert.deepEqual(await collect('soft', { now: 1 }), none);
      const reads = world.askedOfDynamodb.take().filter((operation) => operation === 'GetItem');
      assert.equal(reads.length, attempt === 1 ? 1 : 2, 'the stop, and the invoice if there is one');
      const [{ key, path }, ...more] = world.askedOfPortone.take();
      assert.equal(key, `"${path.split('/')[2]}-${attempt}"`);
      assert.deepEqual(more, []);
      const { nextAttemptAt } = await world.invoice('soft');
      const { dueAt, status } = await world.subscription('soft');
      until.push(nextAttemptAt);
      if (attempt === 4) break;
      assert.deepEqual([dueAt, status], [nextAttemptAt, 'past_due']);
      assert.deepEqual(await collect('soft'), none);
      assert.deepEqual(world.askedOfPortone.take(), [], 'it is not tried before its time');
      await world.changeInvoice('soft', { nextAttemptAt: Date.now() - 1 });
      await world.changeSubscription('soft', { dueAt: Date.now() - 1 });
    }
    assert.deepEqual(until, [...[1, 3, 5].map((days) => inSeoul(daysAfter(today, days))), undefined]);
    const invoice = await world.invoice('soft');
    assert.deepEqual([invoice.status, invoice.declineCount], ['uncollectible', 4]);
    const subscription = await world.subscription('soft');
    assert.deepEqual([subscription.status, subscription.dueAt, subscription.period], ['expired', undefined, undefined]);
    assert.deepEqual(kindsOf(await world.events(invoice)), ['payment_failed', 'payment_failed', 'payment_failed', 'invoice_uncollectible']);
    assert.deepEqual(await world.approvals(invoice), []);
  });

  test('a hard decline waits for a new method until the end of the ladder, tries that at once, and is else given up', async () => {
    for (const id of ['renewed', 'left']) {
      await world.customer(id, { behavior: 'decline:expired_card' });
      await collect(id);
      const [invoice, { dueAt, status }] = [await world.invoice(id), await world.subscription(id)];
      assert.deepEqual([invoice.status, invoice.nextAttemptAt, invoice.attempts[0].reason], ['failed', undefined, 'expired']);
      assert.deepEqual([dueAt, status], [inSeoul(daysAfter(todayInSeoul(), 5)), 'past_due']);
    }
    const { billingKey } = await world.customer('other');
    await world.changeSubscription('renewed', { dueAt: Date.now() - 1, billingKey });
    await collect('renewed');
    assert.equal((await world.invoice('renewed')).status, 'paid');
    const longAgo = Date.now() - 10 * 86_400_000;
    await world.changeSubscription('left', { dueAt: Date.now() - 1 });
    await collect('left');
    assert.equal((await world.invoice('left')).status, 'failed', 'not before the time that the customer was told');
    await world.changeInvoice('left', { firstFailedAt: longAgo, updatedAt: longAgo });
    world.askedOfPortone.take();
    await collect('left');
    assert.deepEqual([(await world.invoice('left')).status, (await world.subscription('left')).status], ['uncollectible', 'expired']);
    assert.deepEqual(world.askedOfPortone.take(), []);
  });

  test('without a method the customer is asked for one, and PortOne is not', async () => {
    await world.customer('bare');
    await world.changeSubscription('bare', { billingKey: undefined, pgProvider: undefined });
    assert.deepEqual(await collect('bare'), none);
    const invoice = await world.invoice('bare');
    const [event] = await world.events(invoice);
    assert.deepEqual([invoice.status, invoice.attempts, event.detail, event.notice.body.reason], ['failed', [], 'NO_BILLING_KEY', 'no_method']);
    assert.deepEqual(world.askedOfPortone.take(), []);
  });

  test('a timeout is unknown, asked about before anything else, and paid once', async () => {
    await world.console('portone/faults', { hangMs: 3000 });
    await world.customer('slow', { behavior: 'hang' });
    const message = messageTo('slow');
    assert.deepEqual(await worker.invoke(batchOf(message)), none);
    assert.equal((await world.invoice('slow')).status, 'unknown');
    // PortOne is still at it: a re-send under the same key is told so, and that proves nothing.
    assert.deepEqual(await worker.invoke(batchOf({ ...message, asks: 1 })), none);
    assert.equal((await world.invoice('slow')).status, 'unknown');
    const again = [[240, 1], [600, 2]].map(([delay, asks]) => ({ delay, message: { ...message, asks } }));
    assert.deepEqual(world.sentToSqs.take(), again, 'the message comes back');
    const calls = world.askedOfPortone.take();
    assert.deepEqual(methodsOf(calls), ['POST', 'GET', 'POST']);
    assert.equal(calls[0].key, calls[2].key);
    assert.deepEqual(calls[0].body, calls[2].body);
    await new Promise((resolve) => setTimeout(resolve, 3000));
    assert.deepEqual(await collect('slow', { asks: 2 }), none);
    assert.deepEqual(methodsOf(world.askedOfPortone.take()), ['GET']);
    const invoice = await world.invoice('slow');
    assert.equal(invoice.status, 'paid');
    assert.equal((await world.approvals(invoice)).length, 1);
    assert.equal((await world.subscription('slow')).status, 'active');
  });

  test('after the third question the message does not come back: the reconciler goes on', async () => {
    await world.customer('quiet', { behavior: 'html_5xx' });
    const waiting = await world.waiting();
    await collect('quiet', { asks: 3 });
    assert.equal((await world.invoice('quiet')).status, 'unknown');
    assert.equal(await world.waiting(), waiting);
  });

  test('what never arrived is sent again under the same key', async () => {
    await world.customer('html', { behavior: 'html_5xx' });
    await collect('html');
    assert.equal((await world.invoice('html')).status, 'unknown');
    await collect('html', { asks: 1 });
    const calls = world.askedOfPortone.take();
    assert.deepEqual(methodsOf(calls), ['POST', 'GET', 'POST']);
    assert.equal(calls[0].key, calls[2].key);
    const invoice = await world.invoice('html');
    assert.deepEqual([invoice.status, invoice.attempts.length], ['paid', 1]);
    assert.equal((await world.approvals(invoice)).length, 1);
  });

  test('what never arrived is not sent again once its key may be forgotten, and is lost after that', async () => {
    await world.customer('old', { behavior: 'html_5xx' });
    await collect('old');
    const [attempt] = (await world.invoice('old')).attempts;
    const begun = async (minutes) => world.changeInvoice('old', { attempts: [{ ...attempt, startedAt: Date.now() - minutes * 60_000 }] });
    await begun(175);
    world.askedOfPortone.take();
    await collect('old', { asks: 3 });
    assert.deepEqual(methodsOf(world.askedOfPortone.take()), ['GET']);
    assert.equal((await world.invoice('old')).status, 'unknown');
    await begun(191);
    await collect('old', { asks: 3 });
    const lost = await world.invoice('old');
    assert.deepEqual([lost.status, lost.attempts[0].outcome], ['open', 'lost']);
    world.askedOfPortone.take();
    await collect('old');
    assert.match(world.askedOfPortone.take()[0].key, /-2"$/);
    assert.equal((await world.invoice('old')).status, 'paid');
  });

  test('a refusal of a re-send proves nothing about the first copy', async () => {
    await world.customer('odd', { behavior: 'html_5xx' });
    await collect('odd');
    await world.changeInvoice('odd', { currency: 'no currency' });
    await collect('odd', { asks: 1 });
    assert.deepEqual(methodsOf(world.askedOfPortone.take()), ['POST', 'GET', 'POST']);
    const { status, attempts } = await world.invoice('odd');
    assert.deepEqual([status, attempts[0].outcome], ['unknown', 'unknown']);
  });

  test('a request that PortOne refuses is our mistake: nobody is dunned, and it is tried the next morning', async () => {
    await world.customer('mistake', { pgProvider: 'PAYPAL_V2', currency: 'KRW' });
    await collect('mistake');
    const [invoice, subscription] = [await world.invoice('mistake'), await world.subscription('mistake')];
    const tomorrow = inSeoul(daysAfter(todayInSeoul(), 1));
    assert.deepEqual([invoice.status, invoice.nextAttemptAt, invoice.declineCount, subscription.status], ['open', tomorrow, 0, 'active']);
    assert.deepEqual(kindsOf(await world.events(invoice)), ['payment_refused']);
  });

  test('each PG gets as much of the names as it takes', async () => {
    const name = '아주 긴 이름을 가진 어느 고객의 회사';
    const wishes = { inicis: 'INICIS_V2', nice: 'NICE_V2', toss: 'TOSSPAYMENTS' };
    const sent = {};
    for (const [id, pgProvider] of Object.entries(wishes)) {
      await world.customer(id, { name, pgProvider });
      await collect(id);
      sent[id] = world.askedOfPortone.take()[0].body;
    }
    assert.equal(sent.inicis.customer.name.full, '아주 긴 이름을 가진 ');
    assert.equal(sent.nice.customer.name.full, name);
    assert.match(sent.nice.orderName, /^Sivera Standard \d+월 구독료$/);
    assert.match(sent.toss.orderName, /^Sivera Standard - \d+월 구독료$/);
  });

  test('an attempt in the hands of another worker is left alone; one whose lease is over is asked about', async () => {
    await world.customer('leased', { behavior: 'drop_after_success' });
    await collect('leased');
    const held = { status: 'charging', since: undefined };
    await world.changeInvoice('leased', { ...held, leaseUntil: Date.now() + 60_000 });
    const waiting = await world.waiting();
    world.askedOfPortone.take();
    await collect('leased');
    assert.deepEqual(world.askedOfPortone.take(), []);
    assert.equal((await world.waiting()) - waiting, 1);
    await world.changeInvoice('leased', { leaseUntil: Date.now() - 1 });
    await collect('leased');
    assert.deepEqual(methodsOf(world.askedOfPortone.take()), ['GET']);
    const invoice = await world.invoice('leased');
    assert.equal(invoice.status, 'paid');
    assert.equal((await world.approvals(invoice)).length, 1);
  });

  test('two workers with the same messages charge each once', async () => {
    const ids = Array.from({ length: 10 }, (_, i) => `twin-${i}`);
    for (const id of ids) await world.customer(id);
    const second = await world.start('worker');
    const batch = batchOf(...ids.map((id) => messageTo(id)));
    assert.deepEqual(await Promise.all([worker.invoke(batch), second.invoke(batch)]), [none, none]);
    second.close();
    const posts = world.askedOfPortone.take().filter(({ method }) => method === 'POST');
    assert.equal(posts.length, 10);
    for (const id of ids) {
      const invoice = await world.invoice(id);
      assert.equal(invoice.status, 'paid');
      assert.equal((await world.approvals(invoice)).length, 1);
    }
  });

  test('of two messages about the same subscription, one reads it again', async () => {
    await world.customer('double');
    assert.deepEqual(await worker.invoke(batchOf(messageTo('double'), messageTo('double'))), none);
    const { 'BatchGetItem of 1': together, GetItem: alone } = countsOf(world.askedOfDynamodb.take());
    assert.equal(together, 1, 'no key stands twice in it');
    assert.ok(alone >= 2, 'the stop, and the subscription');
    const invoice = await world.invoice('double');
    assert.equal(invoice.status, 'paid');
    assert.equal((await world.approvals(invoice)).length, 1);
  });

  test('a request asks for a hundred at most, and what it does not bring is read alone', async () => {
    const ids = Array.from({ length: 101 }, (_, i) => `nobody-${i}`);
    assert.deepEqual(await worker.invoke(batchOf(...ids.map((id) => messageTo(id)))), none);
    assert.deepEqual(countsOf(world.askedOfDynamodb.take()), { GetItem: 1 + 101, 'BatchGetItem of 100': 1 });
  });

  for (const [name, answer] of [
    ['is refused', [400, { __type: 'com.amazon.coral.service#AccessDeniedException' }]],
    ['brings nothing', [200, { Responses: {}, UnprocessedKeys: {} }]],
  ]) {
    test(`where reading them together ${name}, each is read alone`, async (t) => {
      const ids = ['first', 'second'].map((id) => `${id}-of-${name.replace(' ', '-')}`);
      for (const id of ids) await world.customer(id);
      world.askedOfDynamodb.instead = (operation) => (operation.startsWith('BatchGetItem') ? answer : undefined);
      t.after(() => (world.askedOfDynamodb.instead = () => undefined));
      assert.deepEqual(await worker.invoke(batchOf(...ids.map((id) => messageTo(id)))), none);
      assert.deepEqual(countsOf(world.askedOfDynamodb.take()), { GetItem: 1 + 2, 'BatchGetItem of 2': 1, TransactWriteItems: 2 * 2 });
      for (const id of ids) assert.equal((await world.invoice(id)).status, 'paid');
    });
  }

  test('a batch without a message of ours asks for no row', async () => {
    const failed = { batchItemFailures: ['message-0', 'message-1'].map((itemIdentifier) => ({ itemIdentifier })) };
    assert.deepEqual(await worker.invoke(batchOf('not json', '{}')), failed);
    assert.deepEqual(world.askedOfDynamodb.take(), ['GetItem']);
  });

  test('a webhook that is first leaves nothing for the worker to do', async () => {
    await world.customer('raced', { behavior: 'slow' });
    await world.console('portone/faults', { slowMs: [600, 600] });
    const charged = collect('raced');
    await new Promise((resolve) => setTimeout(resolve, 300));
    // As a webhook would have settled it: the worker's own settlement meets another version, reads again, and finds it known.
    const { version } = await world.invoice('raced');
    await world.changeInvoice('raced', { status: 'paid', paidAt: 1, leaseUntil: undefined, version: version + 1 });
    assert.deepEqual(await charged, none);
    const invoice = await world.invoice('raced');
    assert.deepEqual([invoice.status, invoice.paidAt, invoice.version], ['paid', 1, version + 1]);
  });

  test('PayPal is asked after a charge, for it may decide later', async () => {
    await world.customer('paypal', { behavior: 'pending', pgProvider: 'PAYPAL_V2', currency: 'USD', locale: 'en' });
    await collect('paypal');
    assert.deepEqual(methodsOf(world.askedOfPortone.take()), ['POST', 'GET']);
    const pending = await world.invoice('paypal');
    assert.deepEqual([pending.status, pending.attempts[0].outcome], ['pending', 'pending']);
    await world.console('portone/pending', { paymentId: pending.paymentId, approve: true });
    await collect('paypal');
    assert.deepEqual([(await world.invoice('paypal')).status, (await world.subscription('paypal')).status], ['paid', 'active']);
  });

  test('refused credentials dun nobody, and the attempt is made again under its own key', async () => {
    await world.customer('locked', { behavior: 'unauthorized' });
    assert.deepEqual(await collect('locked'), { batchItemFailures: [{ itemIdentifier: 'message-0' }] });
    const refused = await world.invoice('locked');
    assert.deepEqual([refused.status, refused.attempts[0].outcome, refused.declineCount], ['open', 'refused', 0]);
    assert.deepEqual(await collect('locked'), none);
    const [first, again] = world.askedOfPortone.take();
    assert.equal(first.key, again.key);
    assert.deepEqual([(await world.invoice('locked')).status, (await world.invoice('locked')).attempts.length], ['paid', 1]);
  });

  test('who is to end is not charged', async () => {
    await world.customer('ending');
    await world.changeSubscription('ending', { cancelAtPeriodEnd: true });
    assert.deepEqual(await collect('ending'), none);
    assert.deepEqual(world.askedOfPortone.take(), []);
  });

  test('a changed plan is charged, and is the plan from then on', async () => {
    await world.customer('grown', { teamSeats: 1 });
    await world.changeSubscription('grown', { nextTerms: { planType: 'pro', teamSeats: 2, monthlyAmount: 40_000 }, period: '2026-01-01' });
    await collect('grown');
    const [invoice, subscription] = [await world.invoice('grown'), await world.subscription('grown')];
    assert.deepEqual([invoice.amount, invoice.planType, invoice.status], [40_000, 'pro', 'paid']);
    assert.deepEqual([subscription.planType, subscription.teamSeats, subscription.nextTerms], ['pro', 2, undefined]);
  });

  test('while an operator has stopped collecting, messages are dropped untouched', async () => {
    await world.customer('stopped');
    await world.console('controls', { collecting: 'stopped', reason: 'a rehearsal' });
    assert.deepEqual(await collect('stopped'), none);
    assert.deepEqual([world.askedOfPortone.take(), world.askedOfDynamodb.take()], [[], ['GetItem']]);
    await world.console('controls', { collecting: 'running' });
    assert.deepEqual(await collect('stopped'), none);
    assert.equal((await world.invoice('stopped')).status, 'paid');
  });
});

describe('the webhook', { skip }, () => {
  let world;
  let webhook;
  before(async () => {
    world = await World.open({ readTimeout: 1 });
    webhook = await world.start('webhook');
  });
  after(() => world?.close());
  beforeEach(() => (world.askedOfPortone.take(), world.askedOfDynamodb.take()));
  const answer = async (event) => {
    const { statusCode, body } = await webhook.invoke(event);
    return [statusCode, JSON.parse(body).result];
  };
  const paid = { paymentId: 'inv-of-nobody' };

  test('what is not signed by PortOne, lately, reaches nothing', async () => {
    const signed = world.webhook('Transaction.Paid', paid);
    const tampered = { ...signed, body: signed.body.replace('nobody', 'anyone') };
    const { 'webhook-id': _, ...headers } = signed.headers;
    const other = world.webhook('Transaction.Paid', paid, { secret: 'whsec_b3RoZXI=' });
    const [late, early] = [310, -310].map((age) => world.webhook('Transaction.Paid', paid, { age }));
    for (const event of [tampered, { ...signed, headers }, other, late, early]) {
      assert.deepEqual(await answer(event), [401, 'bad_signature']);
    }
    assert.deepEqual([world.askedOfPortone.take(), world.askedOfDynamodb.take()], [[], []]);
  });

  test('the raw body is verified, also in base64', async () => {
    const { body, ...event } = world.webhook('BillingKey.Ready', { billingKey: 'key' });
    assert.deepEqual(await answer({ ...event, isBase64Encoded: true, body: Buffer.from(body).toString('base64') }), [200, 'ignored']);
  });

  test('what is signed and no event is refused, and what is not known here is taken', async () => {
    assert.deepEqual(await answer(world.webhook('', {}, { body: 'not json' })), [400, 'not_an_event']);
    assert.deepEqual(await answer(world.webhook('Transaction.Paid', { paymentId: 7 })), [400, 'not_an_event']);
    assert.deepEqual(await answer(world.webhook('Transaction.Paid', paid, { contentType: 'text/plain' })), [400, 'wrong_content_type']);
    assert.deepEqual(await answer(world.webhook('', {}, { body: JSON.stringify('x'.repeat(70_000)) })), [413, 'too_large']);
    assert.deepEqual(await answer(world.webhook('Transaction.Paid', { ...paid, storeId: 'store-of-others' })), [200, 'ignored']);
    assert.deepEqual(await answer(world.webhook('Transaction.Invented', paid)), [200, 'ignored']);
    assert.deepEqual(await answer(world.webhook('Something.New', {})), [200, 'ignored']);
  });

  test('money under a name that our books do not know is noted once', async () => {
    const event = world.webhook('Transaction.Paid', paid);
    assert.deepEqual([await answer(event), await answer(event)], [[200, 'stranger'], [200, 'stranger']]);
    assert.deepEqual(kindsOf(await world.events(paid)), ['unknown_payment']);
    assert.deepEqual(await answer(world.webhook('Transaction.Failed', { paymentId: 'inv-of-no-one' })), [200, 'stranger']);
    assert.deepEqual(await world.events({ paymentId: 'inv-of-no-one' }), []);
  });

  test('a sum that differs from what is owed parks both rows for a person', async () => {
    const worker = await world.start('worker');
    await world.customer('odd', { behavior: 'drop_after_success' });
    await worker.invoke(batchOf(messageTo('odd')));
    const { paymentId, amount } = await world.invoice('odd');
    await world.changeInvoice('odd', { amount: amount - 1 });
    const event = world.webhook('Transaction.Paid', { paymentId });
    assert.deepEqual([await answer(event), await answer(event)], [[200, 'settled'], [200, 'unchanged']]);
    const [invoice, subscription] = [await world.invoice('odd'), await world.subscription('odd')];
    assert.match(invoice.quarantine, /owed is/);
    assert.deepEqual([subscription.parked, subscription.dueAt], [true, undefined]);
    assert.deepEqual(kindsOf(await world.events(invoice)), ['payment_unknown', 'invoice_quarantined']);
  });

  test('a failure of an earlier attempt is no end of the last one', async () => {
    const worker = await world.start('worker');
    await world.customer('twice', { behavior: 'decline:insufficient_funds' });
    await worker.invoke(batchOf(messageTo('twice')));
    const { paymentId, attempts } = await world.invoice('twice');
    // As it would be an hour later, while the next attempt is on its way.
    const next = { ...attempts[0], number: 2, startedAt: Date.now() + 3_600_000, outcome: undefined, reason: undefined, code: undefined, endedAt: undefined };
    const second = Object.fromEntries(Object.entries(next).filter(([, value]) => value !== undefined));
    await world.changeInvoice('twice', { status: 'charging', leaseUntil: Date.now() + 60_000, nextAttemptAt: undefined, attempts: [attempts[0], second] });
    assert.deepEqual(await answer(world.webhook('Transaction.Failed', { paymentId })), [200, 'unchanged']);
    assert.equal((await world.invoice('twice')).status, 'charging');
  });

  test('what is left out here is no silent 200', async () => {
    const worker = await world.start('worker');
    await world.customer('more');
    await worker.invoke(batchOf(messageTo('more')));
    const { paymentId } = await world.invoice('more');
    assert.deepEqual(await answer(world.webhook('Transaction.Cancelled', { paymentId })), [500, 'try_again']);
    await world.customer('upgraded');
    await world.changeSubscription('upgraded', { upgrade: { number: 1 } });
    assert.deepEqual(await worker.invoke(batchOf(messageTo('upgraded'))), { batchItemFailures: [{ itemIdentifier: 'message-0' }] });
  });

  test('trouble that may pass is 500, and says nothing', async () => {
    const broken = await world.start('webhook', { PORTONE_BASE_URL: 'http://127.0.0.1:9' });
    const worker = await world.start('worker');
    await world.customer('trouble', { behavior: 'drop_after_success' });
    await worker.invoke(batchOf(messageTo('trouble')));
    const { paymentId } = await world.invoice('trouble');
    const { statusCode, body } = await broken.invoke(world.webhook('Transaction.Paid', { paymentId }));
    assert.deepEqual([statusCode, body], [500, '{"result":"try_again"}']);
    assert.equal((await world.invoice('trouble')).status, 'unknown');
  });
});

describe('the process', () => {
  test('a function that cannot start says why, and one that is told to stop does', async () => {
    await assert.rejects(startFunction('webhook', {}), /TABLE_SUBSCRIPTIONS is not set/);
    const world = await World.open();
    try {
      const webhook = await world.start('webhook');
      assert.equal(await webhook.terminate(), 0);
      await assert.rejects(world.start('worker', { PORTONE_API_SECRET_ID: 'no-such-secret' }), /no-such-secret/);
    } finally {
      world.close();
    }
  });
});
