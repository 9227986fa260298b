// Settling: one transaction of invoice, subscription and event, on the versions that were read. Whoever loses a race reads again and decides again.

import { ladder } from './config.mjs';
import { counted } from './log.mjs';
import { settle as decide } from './rules.mjs';
import { commit, readInvoice, readSubscription } from './store.mjs';

export const MAX_ROUNDS = 6;

/** Writes a fact down. Answers with the books after it. */
export const settle = (books, fact, cause) =>
  writeDecision(books, cause, ({ invoice, subscription }, cx) => decide(invoice, subscription, fact, cx));

/** Writes what `decision` makes of the books; `undefined` writes nothing. `written` says whether anything was. */
export async function writeDecision(read, cause, decision) {
  let books = read;
  for (let round = 0; round < MAX_ROUNDS; round += 1) {
    const next = decision(books, { now: Date.now(), cause, ladder });
    if (!next) return { ...books, written: false };
    if (!(await commit(books, next))) {
      counted.event(next.event.kind);
      return { invoice: next.invoice, subscription: next.subscription ?? books.subscription, written: true };
    }
    const [invoice, subscription] = await Promise.all([readInvoice(books.invoice.paymentId), readSubscription(books.invoice)]);
    if (!invoice) throw new Error('an invoice that was read a moment ago is gone');
    books = { invoice, subscription };
  }
  throw new Error('the rows kept changing while they were being written');
}
