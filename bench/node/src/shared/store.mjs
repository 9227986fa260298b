// The tables. A function is one request at most, and every write is conditional on what was read.

import { BatchGetCommand, GetCommand, PutCommand, TransactWriteCommand } from '@aws-sdk/lib-dynamodb';
import { unmarshall } from '@aws-sdk/util-dynamodb';
import { dynamodb } from './aws.mjs';
import { tables } from './config.mjs';

const INVOICE_KEY = ['paymentId'];
const SUBSCRIPTION_KEY = ['userId', 'subscriptionId'];

/** How many rows one request reads at most: DynamoDB refuses more keys than that. */
const MAX_READ = 100;

async function get(TableName, Key) {
  const { Item } = await dynamodb.send(new GetCommand({ TableName, Key, ConsistentRead: true }));
  return Item;
}

export const readInvoice = (paymentId) => get(tables.invoices, { paymentId });
export const readSubscription = ({ userId, subscriptionId }) => get(tables.subscriptions, { userId, subscriptionId });

/** A subscription's key as one text. */
export const keyOf = ({ userId, subscriptionId }) => JSON.stringify([userId, subscriptionId]);

/**
 * Those of these subscriptions that one request brings, by `keyOf`. One that is not among them is not known to be missing: it has to be read alone, for
 * a request brings what it can.
 */
export async function readSubscriptions(wanted) {
  // A request that names a row twice would be refused, and so would one that names none.
  const keys = new Map(wanted.map(({ userId, subscriptionId }) => [keyOf({ userId, subscriptionId }), { userId, subscriptionId }]));
  if (!keys.size) return new Map();
  const Keys = [...keys.values()].slice(0, MAX_READ);
  const { Responses = {} } = await dynamodb.send(
    new BatchGetCommand({ RequestItems: { [tables.subscriptions]: { Keys, ConsistentRead: true } } }),
  );
  return new Map((Responses[tables.subscriptions] ?? []).map((row) => [keyOf(row), row]));
}

export const warmUp = () => readInvoice('-');

/** Why collecting is stopped, if an operator has stopped it: everything but `running` is a stop. */
export async function readStop() {
  const control = await get(tables.controls, { name: 'collecting' });
  return control && control.value !== 'running' ? (control.reason ?? '') : undefined;
}

/** Writes an event on its own; `false` if it is there already. */
export async function recordEvent(Item) {
  const ConditionExpression = 'attribute_not_exists(subject)';
  try {
    await dynamodb.send(new PutCommand({ TableName: tables.events, Item, ConditionExpression }));
    return true;
  } catch (error) {
    if (error.name === 'ConditionalCheckFailedException') return false;
    throw error;
  }
}

const PASSING = new Set(['None', 'ConditionalCheckFailed', 'TransactionConflict', 'ThrottlingError', 'ProvisionedThroughputExceeded']);

/**
 * Writes `next` over `read` in one transaction; without a `next.subscription` the subscription is only checked to be the one that was read.
 * Without a `read.invoice` there must be none. `undefined`: done. Otherwise someone else was first, nothing was written, and `invoice` is the
 * one that is there instead, if the subscription is still the one that was read.
 *
 * The SDK adds a client token, so that its own re-send of a lost answer does not find a conflict with itself.
 */
export async function commit(read, next) {
  const { invoices, subscriptions, events } = tables;
  const ReturnValuesOnConditionCheckFailure = 'ALL_OLD';
  const items = [{ Update: { ...upsert(invoices, INVOICE_KEY, read.invoice, next.invoice), ReturnValuesOnConditionCheckFailure } }];
  if (read.subscription) {
    const action = upsert(subscriptions, SUBSCRIPTION_KEY, read.subscription, next.subscription ?? read.subscription);
    items.push(next.subscription ? { Update: action } : { ConditionCheck: action });
  }
  if (next.event) items.push({ Put: { TableName: events, Item: next.event, ConditionExpression: 'attribute_not_exists(subject)' } });
  try {
    await dynamodb.send(new TransactWriteCommand({ TransactItems: items }));
    return undefined;
  } catch (error) {
    const reasons = error.CancellationReasons;
    if (!reasons?.every(({ Code }) => PASSING.has(Code))) throw error;
    const isStale = read.subscription && reasons[1].Code !== 'None';
    return { invoice: reasons[0].Item && !isStale ? unmarshall(reasons[0].Item) : undefined };
  }
}

/** Sets what differs and removes what is absent; attributes that are not known here stay as they are. Every name is aliased: some are reserved. */
function upsert(TableName, key, before, after) {
  const [set, remove, names, values] = [[], [], {}, {}];
  Object.keys({ ...before, ...after }).forEach((name, i) => {
    if (key.includes(name) || before?.[name] === after[name]) return;
    names[`#${i}`] = name;
    if (after[name] === undefined) {
      remove.push(`#${i}`);
    } else {
      set.push(`#${i} = :${i}`);
      values[`:${i}`] = after[name];
    }
  });
  const guard = before ? { name: 'version', condition: '#guard = :guard' } : { name: key[0], condition: 'attribute_not_exists(#guard)' };
  const update = [set.length && `SET ${set.join(', ')}`, remove.length && `REMOVE ${remove.join(', ')}`].filter(Boolean).join(' ');
  return {
    TableName,
    Key: Object.fromEntries(key.map((name) => [name, after[name]])),
    ...(update && { UpdateExpression: update }),
    ConditionExpression: guard.condition,
    ExpressionAttributeNames: { ...names, '#guard': guard.name },
    ExpressionAttributeValues: before ? { ...values, ':guard': before.version } : values,
  };
}
