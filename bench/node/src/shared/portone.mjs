// PortOne: what is sent to it, and what its answers let us conclude.

import { PaymentClient } from '@portone/server-sdk/payment';
import { Secret } from './aws.mjs';
import { portone } from './config.mjs';
import { declineOf } from './declines.mjs';
import { log } from './log.mjs';
import { idempotencyKeyOf, isUnauthorized } from './rules.mjs';

const { storeId, baseUrl, readTimeoutMs } = portone;
const apiSecret = new Secret(portone.apiSecretId);

/** PortOne refuses our credentials: stop, and dun nobody. */
export class Unauthorized extends Error {
  constructor(type) {
    super(`PortOne refused our credentials (${type}): check the API secret and its expiry in the console`);
  }
}

/** Reads the secret, without which no function can start, and opens the connection. Global `fetch` closes it again when it is idle for 4 s. */
export const warmUp = () => [apiSecret.get(), fetch(baseUrl, { method: 'HEAD' })];

/** Makes a call, and once more if the secret was refused and has been replaced. `call` answers with `{ error: { type } }` where PortOne did. */
async function call(operation, make) {
  const began = performance.now();
  const secret = await apiSecret.get();
  let answer = await make(secret);
  if (isUnauthorized(answer.error?.type)) {
    const other = await apiSecret.otherThan(secret);
    if (other) answer = await make(other);
  }
  const fields = { operation, portone_ms: Math.round(performance.now() - began) };
  if (answer.error) log('INFO', 'PortOne answered with an error, or not at all', { ...fields, portone_error: answer.error.type ?? 'NO_ANSWER' });
  else log('INFO', 'PortOne answered', fields);
  return answer;
}

/**
 * Charges the last attempt of an invoice, which must be claimed. Answers with a fact, or with what to do: `{ ask }`, `{ unauthorized }`.
 *
 * By `fetch` and not by the SDK's `payWithBillingKey`, which can send no Idempotency-Key and waits for ever. `fetch` has no connect timeout of its
 * own but undici's 10 s, and this limit is one for the whole exchange.
 */
export async function charge(invoice) {
  const { number: attempt, billingKey, pgProvider } = invoice.attempts.at(-1);
  const body = JSON.stringify(orderOf(invoice, billingKey, pgProvider));
  const { payment, error } = await call('charge', async (secret) => {
    try {
      const response = await fetch(new URL(`/payments/${encodeURIComponent(invoice.paymentId)}/billing-key`, baseUrl), {
        method: 'POST',
        headers: {
          Authorization: `PortOne ${secret}`,
          'Content-Type': 'application/json',
          'Idempotency-Key': `"${idempotencyKeyOf(invoice)}"`,
        },
        body,
        redirect: 'error',
        signal: AbortSignal.timeout(readTimeoutMs),
      });
      const json = await response.json();
      if (response.ok && json?.payment) return json;
      return { error: typeof json?.type === 'string' ? json : { why: `an answer that cannot be read (HTTP ${response.status})` } };
    } catch (failure) {
      return { error: { why: failure instanceof SyntaxError ? 'an answer that is not JSON' : `no answer (${failure.name})` } };
    }
  });
  if (error) return conclude(error, attempt, pgProvider);
  // PayPal, and for all that is known any other PG, may decide later; its answer cannot be told from that to a paid charge.
  if (!DECIDES_AT_ONCE.has(pgProvider)) return { ask: 'PortOne took the charge, which this PG may decide later' };
  const at = Date.parse(payment.paidAt);
  if (Number.isNaN(at)) return { ask: 'PortOne took the charge without saying when it was paid' };
  // The answer carries no amount; it is the answer to an order for exactly this one.
  const amount = { minor: invoice.amount, currency: invoice.currency };
  return { kind: 'paid', at, amount, proof: { pgTxId: payment.pgTxId, transactionId: undefined, receiptUrl: undefined } };
}

const DECIDES_AT_ONCE = new Set(['TOSSPAYMENTS', 'INICIS_V2', 'KCP_V2', 'NICE_V2']);

/** By these PortOne says that nothing was charged, for a mistake of ours. */
const REFUSALS = new Set([
  'INVALID_REQUEST',
  'CHANNEL_NOT_FOUND',
  'SUM_OF_PARTS_EXCEEDS_TOTAL_AMOUNT',
  'PROMOTION_PAY_METHOD_DOES_NOT_MATCH',
  'PROMOTION_DISCOUNT_RETAIN_OPTION_SHOULD_NOT_BE_CHANGED',
  'DISCOUNT_AMOUNT_EXCEEDS_TOTAL_AMOUNT',
  'PAYMENT_SCHEDULE_ALREADY_EXISTS',
]);

/** By the error's type, never by the HTTP status: a declined card is a 502. What is not known to be a refusal is `unknown`. */
function conclude({ type, pgCode, why }, attempt, pgProvider) {
  switch (type) {
    case 'PG_PROVIDER':
      return { kind: 'declined', attempt, ...declineOf(pgProvider, pgCode || type) };
    case 'BILLING_KEY_NOT_FOUND':
    case 'BILLING_KEY_ALREADY_DELETED':
      return { kind: 'declined', attempt, reason: 'no_method', code: type };
    case 'ALREADY_PAID':
      return { ask: type };
    case 'UNAUTHORIZED':
    case 'FORBIDDEN':
      return { unauthorized: type };
    default:
      return REFUSALS.has(type) ? { kind: 'refused', attempt, code: type } : { kind: 'unknown', attempt, why: why ?? type };
  }
}

function orderOf(invoice, billingKey, pgProvider) {
  const { orderName, amount, currency, userId, customerName, customerEmail, customerPhone } = invoice;
  const name = pgProvider === 'NICE_V2' ? orderName.replace(/[%&|$\-+=[\]]/g, ' ').trim().replace(/\s+/g, ' ') : orderName;
  const full = customerName && pgProvider === 'INICIS_V2' ? cutToBytes(customerName, 30) : customerName;
  return {
    storeId,
    billingKey,
    orderName: cutToBytes(name, ['TOSSPAYMENTS', 'KCP_V2', 'PAYPAL_V2'].includes(pgProvider) ? 100 : 40).trimEnd(),
    amount: { total: amount },
    currency,
    customer: { id: userId, name: full && { full }, email: customerEmail, phoneNumber: customerPhone },
  };
}

function cutToBytes(text, max) {
  let cut = text;
  while (Buffer.byteLength(cut) > max) cut = [...cut].slice(0, -1).join('');
  return cut;
}

/** A payment in our words; `undefined` if PortOne knows none of that id. By the SDK, which has no timeout: the wait is cut off here. */
export async function readPayment(paymentId) {
  const { payment, error } = await call('payment', async (secret) => {
    let timer;
    const late = new Promise((_, reject) => (timer = setTimeout(reject, readTimeoutMs, new Error('no answer in time'))));
    try {
      const client = PaymentClient({ secret, baseUrl, storeId });
      return { payment: await Promise.race([client.getPayment({ paymentId, storeId }), late]) };
    } catch (failure) {
      return { error: failure.data ?? { why: failure.message } };
    } finally {
      clearTimeout(timer);
    }
  });
  if (!error) return seen(payment);
  if (error.type === 'PAYMENT_NOT_FOUND') return undefined;
  if (isUnauthorized(error.type)) throw new Unauthorized(error.type);
  throw new Error(`PortOne gave no usable answer: ${error.type ?? error.why}`);
}

function seen(payment) {
  const { status, billingKey, amount, currency, channel, failure, pgTxId, transactionId, receiptUrl } = payment;
  const own = { PAID: payment.paidAt, FAILED: payment.failedAt }[status];
  const at = Date.parse(own ?? payment.statusChangedAt ?? payment.updatedAt);
  if (Number.isNaN(at) && ['PAID', 'FAILED'].includes(status)) throw new Error(`PortOne told of a payment that is ${status}, and not since when`);
  return {
    status,
    at,
    billingKey,
    amount: { minor: amount?.total, currency },
    proof: { pgTxId, transactionId, receiptUrl },
    decline: declineOf(pgOf(channel?.pgProvider), failure?.pgCode || 'FAILED'),
  };
}

/** PortOne's name for a PG in its current form, as the tables hold it. */
const pgOf = (name) => (['INICIS', 'KCP', 'NICE', 'PAYPAL'].includes(name) ? `${name}_V2` : (name ?? 'UNKNOWN'));
