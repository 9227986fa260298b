// Drives the official SDK against a running simulator, by hand:
//   npm install && PORTONE_URL=http://127.0.0.1:3001 PORTONE_API_SECRET=… PORTONE_WEBHOOK_SECRET=whsec_… npm run check
import assert from "node:assert/strict";
import { createServer } from "node:http";
import * as PortOne from "@portone/server-sdk";

const { PORTONE_URL: baseUrl, PORTONE_API_SECRET: secret, PORTONE_WEBHOOK_SECRET: webhookSecret } = process.env;
const { payment } = PortOne.PortOneClient({ secret, baseUrl });
const run = Date.now().toString(36);
let checks = 0;

async function check(name, work) {
  await work();
  checks += 1;
  console.log(`ok  ${name}`);
}

/** The error a call fails with: it must be the SDK's, with the envelope in `data`. */
async function refusal(call) {
  const error = await call.then(() => assert.fail("it was not refused"), (error) => error);
  assert.ok(error instanceof PortOne.PortOneError, `${error}`);
  return error.data;
}

const received = [];
const waiting = [];
const receiver = createServer((request, response) => {
  let body = "";
  request.on("data", (chunk) => (body += chunk));
  request.on("end", () => {
    received.push({ body, headers: request.headers });
    response.end();
    waiting.splice(0).forEach((wake) => wake());
  });
});
await new Promise((ready) => receiver.listen(0, "127.0.0.1", ready));
const noticeUrls = [`http://127.0.0.1:${receiver.address().port}/`];

async function webhook(type, id) {
  for (;;) {
    for (const { body, headers } of received) {
      const event = await PortOne.Webhook.verify(webhookSecret, body, headers);
      if (event.type === type && (event.data.paymentId === id || event.data.billingKey === id)) return event;
    }
    await new Promise((wake) => waiting.push(wake));
  }
}

const card = { credential: { number: "4330123412341234", expiryYear: "29", expiryMonth: "12" } };
async function issue(behavior, pgProvider = "TOSSPAYMENTS") {
  const customer = { id: `customer-${run}`, name: { full: "홍길동" }, email: "hong@example.com" };
  const options = { method: { card }, channelKey: `channel-key-${pgProvider}`, customer, noticeUrls };
  const { billingKeyInfo } = await payment.billingKey.issueBillingKey({ ...options, bypass: { sandbox: { behavior, pgProvider } } });
  return billingKeyInfo.billingKey;
}
const order = (billingKey) => ({ billingKey, orderName: "monthly", amount: { total: 11000 }, currency: "KRW", noticeUrls });
const charge = (paymentId, billingKey) => payment.payWithBillingKey({ paymentId, ...order(billingKey) });

const [good, bad, paypal] = [await issue("approve"), await issue("decline:insufficient_funds"), await issue("approve", "PAYPAL_V2")];

await check("a wrong secret is refused", async () => {
  const stranger = PortOne.PortOneClient({ secret: "wrong", baseUrl });
  assert.equal((await refusal(stranger.payment.getPayment({ paymentId: "x" }))).type, "UNAUTHORIZED");
});

await check("a billing key is issued, read and listed", async () => {
  await webhook("BillingKey.Issued", good);
  const info = await payment.billingKey.getBillingKeyInfo({ billingKey: good });
  assert.equal(info.status, "ISSUED");
  assert.equal(info.customer.name, "홍길동");
  const filter = { customerId: `customer-${run}`, status: ["ISSUED"] };
  const list = await payment.billingKey.getBillingKeyInfos({ page: { number: 0, size: 2 }, filter });
  assert.deepEqual(list.page, { number: 0, size: 2, totalCount: 3 });
});

const paid = `paid-${run}`;
await check("a charge is paid, told of, and read", async () => {
  const { payment: summary } = await charge(paid, good);
  const event = await webhook("Transaction.Paid", paid);
  const read = await payment.getPayment({ paymentId: event.data.paymentId });
  assert.equal(read.status, "PAID");
  assert.equal(read.transactionId, event.data.transactionId);
  assert.equal(read.pgTxId, summary.pgTxId);
  assert.equal(read.amount.paid, 11000);
  assert.equal((await refusal(charge(paid, good))).type, "ALREADY_PAID");
});

const declined = `declined-${run}`;
await check("a decline is an error with the gateway's words", async () => {
  const data = await refusal(charge(declined, bad));
  assert.equal(data.type, "PG_PROVIDER");
  assert.ok(data.pgCode && data.pgMessage);
  await webhook("Transaction.Failed", declined);
  const read = await payment.getPayment({ paymentId: declined });
  assert.equal(read.status, "FAILED");
  assert.equal(read.failure.pgCode, data.pgCode);
});

await check("an id with a slash and a space arrives whole", async () => {
  const id = `a/b c ${run}`;
  assert.equal((await refusal(payment.getPayment({ paymentId: id }))).type, "PAYMENT_NOT_FOUND");
  assert.equal((await refusal(payment.getPayment({ paymentId: " " }))).type, "PAYMENT_NOT_FOUND");
  await payment.payWithBillingKey({ paymentId: id, ...order(paypal), currency: "USD" });
  assert.equal((await payment.getPayment({ paymentId: id })).id, id);
});

await check("payments are listed by page and by cursor", async () => {
  const filter = { textSearch: [{ field: "PAYMENT_ID", value: run }], status: ["PAID", "FAILED"] };
  const { items, page } = await payment.getPayments({ page: { number: 0, size: 10 }, filter });
  assert.equal(page.totalCount, 3);
  assert.equal(items.length, 3);
  const seen = [];
  for (let cursor; ; ) {
    const { items } = await payment.getAllPaymentsByCursor({ size: 1, ...(cursor && { cursor }) });
    if (items.length === 0) break;
    cursor = items.at(-1).cursor;
    seen.push(...items.map(({ payment }) => payment.id));
  }
  assert.equal(seen.length, new Set(seen).size);
  assert.ok(seen.includes(paid) && seen.includes(declined));
});

await check("a part is cancelled, then the rest", async () => {
  const part = { paymentId: paid, reason: "part", amount: 1000, currentCancellableAmount: 11000 };
  const { cancellation } = await payment.cancelPayment(part);
  assert.equal(cancellation.status, "SUCCEEDED");
  assert.equal((await refusal(payment.cancelPayment(part))).type, "CANCELLABLE_AMOUNT_CONSISTENCY_BROKEN");
  await webhook("Transaction.PartialCancelled", paid);
  await payment.cancelPayment({ paymentId: paid, reason: "rest" });
  const event = await webhook("Transaction.Cancelled", paid);
  const read = await payment.getPayment({ paymentId: paid });
  assert.equal(read.status, "CANCELLED");
  assert.ok(read.cancellations.some(({ id }) => id === event.data.cancellationId));
});

await check("a card payment has no cash receipt", async () => {
  assert.equal((await refusal(payment.cashReceipt.getCashReceiptByPaymentId({ paymentId: paid }))).type, "CASH_RECEIPT_NOT_FOUND");
});

await check("a webhook is sent again", async () => {
  const before = received.length;
  const { webhook } = await payment.resendWebhook({ paymentId: paid });
  assert.equal(webhook.status, "SUCCEEDED");
  assert.equal(received.length, before + 1);
});

await check("a charge is scheduled, listed, read and revoked", async () => {
  const timeToPay = new Date(Date.now() + 365 * 86_400_000).toISOString();
  const paymentId = `scheduled-${run}`;
  const { schedule } = await payment.paymentSchedule.createPaymentSchedule({ paymentId, payment: order(good), timeToPay });
  const filter = { billingKey: good, until: new Date(Date.now() + 366 * 86_400_000).toISOString() };
  const { items } = await payment.paymentSchedule.getPaymentSchedules({ filter });
  assert.deepEqual(items.map(({ id, status }) => [id, status]), [[schedule.id, "SCHEDULED"]]);
  assert.equal((await refusal(payment.billingKey.deleteBillingKey({ billingKey: good }))).type, "PAYMENT_SCHEDULE_ALREADY_EXISTS");
  const { revokedScheduleIds } = await payment.paymentSchedule.revokePaymentSchedules({ scheduleIds: [schedule.id] });
  assert.deepEqual(revokedScheduleIds, [schedule.id]);
  const read = await payment.paymentSchedule.getPaymentSchedule({ paymentScheduleId: schedule.id });
  assert.equal(read.status, "REVOKED");
});

await check("a billing key is deleted", async () => {
  const { deletedAt } = await payment.billingKey.deleteBillingKey({ billingKey: good, reason: "left", requester: "CUSTOMER" });
  assert.ok(Date.parse(deletedAt));
  assert.equal((await payment.billingKey.getBillingKeyInfo({ billingKey: good })).status, "DELETED");
  assert.equal((await refusal(charge(`late-${run}`, good))).type, "BILLING_KEY_ALREADY_DELETED");
});

await check("both tokens of the token pair are given", async () => {
  const auth = PortOne.AuthClient({ secret, baseUrl });
  const { accessToken, refreshToken } = await auth.loginViaApiSecret({ apiSecret: secret });
  assert.ok(accessToken && refreshToken);
  assert.ok((await auth.refreshToken({ refreshToken })).accessToken);
});

console.log(`${checks} checks passed, ${received.length} webhooks verified`);
receiver.close();
