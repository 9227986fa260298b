// λ worker: collects what a batch of SQS messages names, all at once, and reports each message's fate on its own.
//
// What they are about is read together. For one message: is it still due? → claim the attempt (a conditional transaction, with a lease) → PortOne → settle (one transaction). A crash
// between any two steps leaves a state that the next delivery repairs: an attempt whose end is not known is asked about before anything else.

import { SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { prewarm, settings as awsSettings } from './shared/aws.mjs';
import { BRAND, collectQueueUrl, ladder, PLAN_NAMES, portone as config } from './shared/config.mjs';
import { counted, log } from './shared/log.mjs';
import * as portone from './shared/portone.mjs';
import * as rules from './shared/rules.mjs';
import { MAX_ROUNDS, settle, writeDecision } from './shared/settle.mjs';
import { commit, keyOf, readInvoice, readStop, readSubscription, readSubscriptions, warmUp } from './shared/store.mjs';

/** How long a message waits before it comes back to ask: first until no lease can be running, then longer. Then the reconciler goes on. */
const ASK_AFTER_SECONDS = [240, 600, 900];

let sqs; // made when it is first needed: only an end that is not known needs it
const QueueUrl = collectQueueUrl();
const terms = { storeId: config.storeId, brand: BRAND, planNames: PLAN_NAMES };

const [apiSecret, connection] = portone.warmUp();
await Promise.all([apiSecret, prewarm(connection, warmUp())]);

export async function handler({ Records: records }) {
  const all = (failed) => ({ batchItemFailures: failed.map(({ messageId }) => ({ itemIdentifier: messageId })) });
  try {
    const stop = await readStop();
    if (stop !== undefined) {
      counted.stopped(stop);
      return all([]); // what they are about stays due
    }
  } catch (error) {
    log('ERROR', 'nobody knows whether collecting is stopped; the batch will be delivered again', { error: describe(error) });
    return all(records);
  }
  const batch = { unauthorized: false };
  const messages = records.map(({ body }) => parse(body));
  const read = await readTogether(messages.filter(Boolean));
  const fates = await Promise.all(
    records.map(async (record, i) => {
      try {
        await work(messages[i], read, batch);
        return true;
      } catch (error) {
        if (error instanceof portone.Unauthorized) batch.unauthorized = true;
        log('ERROR', 'a message could not be worked on; it will be delivered again', { message_id: record.messageId, error: describe(error) });
        return false;
      }
    }),
  );
  return all(records.filter((_, i) => !fates[i]));
}

/** What one request brings of the subscriptions. If it fails, each message finds out for itself, and fails or not on its own. */
async function readTogether(messages) {
  try {
    return await readSubscriptions(messages);
  } catch (error) {
    log('WARN', "a batch's subscriptions could not be read together; each is read alone", { error: describe(error) });
    return new Map();
  }
}

/** An AWS error by its name alone: services like to quote what they refuse, and that is customers' data. */
const describe = (error) => (error.$metadata ? `${error.name} (HTTP ${error.$metadata.httpStatusCode})` : error.message);

/** The message, if it is one of the planner's. */
function parse(body) {
  let message;
  try {
    message = JSON.parse(body);
  } catch {
    return undefined; // without the parser's words, which quote it
  }
  const { run, now, userId, subscriptionId, asks = 0 } = message ?? {};
  const isOurs = [run, userId, subscriptionId].every((text) => typeof text === 'string' && text) && [now, asks].every(Number.isInteger);
  return isOurs ? message : undefined;
}

async function work(message, read, batch) {
  if (!message) throw new Error("not a message of the planner's");
  const { asks = 0 } = message;
  const key = keyOf(message);
  const subscription = read.get(key);
  read.delete(key); // of two messages about the same subscription, one has to read it again
  const collected = await collect(message, subscription, batch);
  counted.collected(collected, message);
  const isUndecided = ['unknown', 'charging'].includes(collected.status) || ['in_progress', 'undecided'].includes(collected.skipped);
  if (isUndecided && asks < ASK_AFTER_SECONDS.length) {
    const MessageBody = JSON.stringify({ ...message, asks: asks + 1 });
    sqs ??= new SQSClient(awsSettings);
    await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody, DelaySeconds: ASK_AFTER_SECONDS[asks] }));
  }
}

const skip = (skipped) => ({ skipped });

/**
 * Collects what a subscription owes. Safe to run twice, and two at once. Answers with the invoice's `status`, or why it was `skipped`.
 *
 * `read` is the subscription, if it was read a moment ago together with others: should its row have changed since, what is written on it is refused,
 * and it is read again.
 */
async function collect(message, read, batch) {
  const cause = `run:${message.run}`;
  for (let round = 0; round < MAX_ROUNDS; round += 1) {
    const subscription = (round === 0 && read) || (await readSubscription(message));
    if (!subscription) return skip('no_subscription');
    if (subscription.upgrade) throw new Error('upgrades are not handled here');
    // A run that is handled late sees what fell due since; one whose clock is behind still sees what its planner saw.
    const now = Math.max(Date.now(), message.now);
    if (!rules.isDue(subscription, now)) return skip('not_due');
    if (subscription.cancelAtPeriodEnd) return skip('to_end'); // never charged; what ends it is left out here
    if (batch.unauthorized) throw new Error('the run is stopped: PortOne refused our credentials');

    // A subscription that has failed before has an invoice; a new period's is created by claiming its first attempt. If there is one
    // nevertheless, the refused transaction has returned it, and it goes on from that.
    const opened = rules.openInvoice(subscription, terms, now);
    let stored = subscription.status === 'past_due' ? await readInvoice(opened.paymentId) : undefined;
    for (let attempt = 0; attempt < 2; attempt += 1) {
      const books = { invoice: stored ?? opened, stored, subscription };
      const { found, ...collected } = await advance(books, now, cause);
      if (collected.status || collected.skipped) return collected;
      if (!found) break; // the subscription has changed: all is read again
      stored = found;
    }
  }
  throw new Error('the rows kept changing while they were being written');
}

async function advance(books, now, cause) {
  const step = rules.stepOf(books.invoice, books.subscription, now);
  if (step === 'ask') return ask(books, cause, !rules.banksAreDown(now));
  if (step === 'give_up') return statusOf(await writeDecision(books, cause, ({ invoice, subscription }, cx) => rules.giveUp(invoice, subscription, cx)));
  if (step !== 'attempt') return skip(step);
  if (rules.banksAreDown(now)) return skip('banks_down');

  const { invoice, stored, subscription } = books;
  const read = { invoice: stored, subscription };
  if (!subscription.billingKey) {
    const next = rules.failWithoutMethod(invoice, subscription, { now, cause, ladder });
    const conflict = await commit(read, next);
    if (conflict) return { found: conflict.invoice };
    counted.event(next.event.kind);
    return statusOf(next);
  }
  const claimed = rules.claim(invoice, subscription, cause, now);
  if (!claimed) {
    const why = `${invoice.attempts.length} attempts were made and none was decided: no more are made`;
    return statusOf(await settle(books, { kind: 'contradiction', why }, cause));
  }
  const conflict = await commit(read, { invoice: claimed });
  return conflict ? { found: conflict.invoice } : charge({ invoice: claimed, subscription }, cause);
}

const statusOf = ({ invoice }) => ({ status: invoice.status });

/** Sends the order of the claimed attempt, and writes down what came of it. */
async function charge(books, cause, isAgain = false) {
  const attempt = books.invoice.attempts.at(-1).number;
  let fact = await portone.charge(books.invoice);
  if (fact.ask) {
    const asked = await ask(books, cause, false);
    if (asked.status && asked.status !== books.invoice.status) return asked;
    fact = { kind: 'unknown', attempt, why: fact.ask };
  }
  const refusal = fact.unauthorized;
  if (refusal) fact = { kind: 'refused', attempt, code: refusal, atOnce: true };
  // A refusal of a re-send proves nothing about the first copy, which may still be on its way.
  if (fact.kind === 'refused' && isAgain) fact = { kind: 'unknown', attempt, why: fact.code };
  const settled = await settleCharge(books, fact, cause);
  if (refusal) throw new portone.Unauthorized(refusal);
  return statusOf(settled);
}

async function settleCharge(books, fact, cause) {
  const settled = await settle(books, fact, cause);
  if (settled.written && fact.kind !== 'lost') counted.charge(fact.kind, cause, books.invoice);
  return settled;
}

/** Asks PortOne about an attempt whose end is not known; sends it again under the same key where PortOne knows nothing of it and that is allowed. */
async function ask(books, cause, mayResend) {
  const { invoice, subscription } = books;
  let seen;
  try {
    seen = await portone.readPayment(invoice.paymentId);
  } catch (error) {
    if (error instanceof portone.Unauthorized) throw error;
    return skip('undecided');
  }
  const fact = seen && rules.factOf(seen, invoice);
  if (fact) return statusOf(await settleCharge(books, fact, cause));
  // A status that is not known here decides nothing; and what is pending takes its time.
  if ((seen && !['READY', 'FAILED'].includes(seen.status)) || invoice.status === 'pending') return skip('undecided');
  const now = Date.now();
  if (rules.isLost(invoice, now)) return statusOf(await settle(books, { kind: 'lost', attempt: invoice.attempts.at(-1).number }, cause));
  const again = mayResend ? rules.reclaim(invoice, now) : undefined;
  if (!again || (await commit({ invoice, subscription }, { invoice: again }))) return skip('undecided');
  return charge({ invoice: again, subscription }, cause, true);
}
