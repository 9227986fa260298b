// λ POST /api/portone/billing-webhook: verify over the raw body, read the payment again, settle what was read, answer with one word.
//
// 200: settled, known already, unknown payment, type or store. 400: not an event. 401: no signature of PortOne's, lately. 413: too large.
// 500: trouble that may pass; PortOne delivers again.

import { verify, WebhookVerificationError } from '@portone/server-sdk/webhook';
import { prewarm, Secret } from './shared/aws.mjs';
import { portone as config, webhookSecretId } from './shared/config.mjs';
import { counted, log } from './shared/log.mjs';
import * as portone from './shared/portone.mjs';
import { factOf, isPaid } from './shared/rules.mjs';
import { settle } from './shared/settle.mjs';
import { readInvoice, readSubscription, recordEvent, warmUp } from './shared/store.mjs';

const MAX_BODY_BYTES = 64 * 1024;
const webhookSecret = new Secret(webhookSecretId());

const [apiSecret, connection] = portone.warmUp();
await Promise.all([apiSecret, prewarm(connection, warmUp(), webhookSecret.get())]);

class Refused extends Error {
  constructor(statusCode, word) {
    super(word);
    this.statusCode = statusCode;
  }
}

export async function handler(request) {
  let [statusCode, result] = [200, ''];
  try {
    result = await receive(request);
  } catch (error) {
    [statusCode, result] = error instanceof Refused ? [error.statusCode, error.message] : [500, 'try_again'];
    if (statusCode === 500) log('ERROR', 'a webhook could not be settled; PortOne will deliver it again', { error: describe(error) });
    else log('WARN', 'a webhook was refused', { result });
  }
  counted.webhook(result);
  return { statusCode, headers: { 'content-type': 'application/json' }, body: JSON.stringify({ result }) };
}

/** An AWS error by its name alone: services like to quote what they refuse, and that is customers' data. */
const describe = (error) => (error.$metadata ? `${error.name} (HTTP ${error.$metadata.httpStatusCode})` : error.message);

async function receive({ headers = {}, body = '', isBase64Encoded }) {
  const payload = isBase64Encoded ? Buffer.from(body, 'base64').toString() : body;
  if (Buffer.byteLength(payload) > MAX_BODY_BYTES) throw new Refused(413, 'too_large');
  const event = await verified(payload, headers);
  if (headers['content-type']?.split(';')[0].trim().toLowerCase() !== 'application/json') throw new Refused(400, 'wrong_content_type');
  if (typeof event?.type !== 'string') throw new Refused(400, 'not_an_event');
  const [family, what] = event.type.split('.');
  // Billing keys and refunds are the Rust functions' alone: see README.md.
  if (family !== 'Transaction' || !KNOWN_TYPES.has(what)) return 'ignored';
  const { paymentId, storeId, transactionId } = event.data ?? {};
  if (![paymentId, storeId, transactionId].every((id) => typeof id === 'string') || !isId(paymentId)) throw new Refused(400, 'not_an_event');
  return storeId === config.storeId ? receivePayment(what, paymentId, headers['webhook-id'], event.timestamp) : 'ignored';
}

const KNOWN_TYPES = new Set(['Paid', 'Failed', 'PayPending', 'Cancelled', 'PartialCancelled', 'DisputeCreated', 'DisputeResolved']);
const isId = (id) => id !== '' && Buffer.byteLength(id) <= 256 && !/\p{Cc}/u.test(id);

/** The event, if one of the secrets signed it. A secret may have been replaced since it was read: it is then read again, once. */
async function verified(payload, headers) {
  const text = await webhookSecret.get();
  const event = await verifiedBy(text, payload, headers);
  if (event !== undefined) return event;
  const other = await webhookSecret.otherThan(text);
  const again = other && (await verifiedBy(other, payload, headers));
  if (again === undefined) throw new Refused(401, 'bad_signature');
  return again;
}

async function verifiedBy(text, payload, headers) {
  const secrets = text.startsWith('[') ? JSON.parse(text) : text.split(/\s+/);
  for (const secret of secrets) {
    try {
      return await verify(secret, payload, headers);
    } catch (error) {
      if (error instanceof SyntaxError) throw new Refused(400, 'not_an_event'); // it is signed, and no JSON
      if (!(error instanceof WebhookVerificationError)) throw error;
      if (error.reason !== 'NO_MATCHING_SIGNATURE') throw new Refused(401, 'bad_signature');
    }
  }
  return undefined;
}

async function receivePayment(what, paymentId, webhookId, timestamp) {
  const cause = `webhook:${webhookId}`;
  const note = async (kind, detail) => {
    const id = `${String(Math.max(Date.parse(timestamp) || 0, 0)).padStart(13, '0')}-${webhookId}`;
    if (await recordEvent({ subject: paymentId, id, at: Date.now(), kind, cause, detail })) counted.event(kind);
  };
  if (what.startsWith('Dispute')) {
    await note('dispute');
    return 'settled';
  }
  const invoice = await readInvoice(paymentId);
  const isCancelled = what.endsWith('Cancelled');
  if (!invoice) {
    if (what === 'Paid' || isCancelled) await note('unknown_payment', isCancelled ? 'cancelled' : 'paid');
    return 'stranger';
  }
  if (isKnown(what, invoice)) return 'known';
  if (isCancelled) throw new Error('refunds are not handled here');
  const [seen, subscription] = await Promise.all([portone.readPayment(paymentId), readSubscription(invoice)]);
  const fact = seen && factOf(seen, invoice);
  if (!fact) return 'unchanged';
  const { written } = await settle({ invoice, subscription }, fact, cause);
  return written ? 'settled' : 'unchanged';
}

/** Whether the books already show what the webhook says, so that PortOne need not be asked. */
function isKnown(what, invoice) {
  if (what.endsWith('Cancelled')) return invoice.status === 'refunded' && invoice.refundUnderWay === undefined;
  if (isPaid(invoice)) return true;
  if (['failed', 'uncollectible'].includes(invoice.status)) return what === 'Failed';
  return invoice.status === 'pending' && what === 'PayPending';
}
