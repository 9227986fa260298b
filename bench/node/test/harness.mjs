// What the tests run the bundled functions in: a sandbox, Lambda's Runtime API, and proxies that note what is asked of DynamoDB, PortOne and SQS.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { createServer, request } from 'node:http';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { DynamoDBDocumentClient, GetCommand, UpdateCommand } from '@aws-sdk/lib-dynamodb';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const here = fileURLToPath(new URL('../', import.meta.url));
const program = process.env.SANDBOX;
if (!program) throw new Error('SANDBOX is not set: the path of the sandbox binary (cargo build --package sandbox)');

const SEOUL = 9 * 3_600_000;
export const todayInSeoul = () => new Date(Date.now() + SEOUL).toISOString().slice(0, 10);
export const inSeoul = (date) => Date.parse(`${date}T10:00:00+09:00`);
export const daysAfter = (date, days) => new Date(Date.parse(date) + days * 86_400_000).toISOString().slice(0, 10);

/** Between 23:30 and 00:30 in Seoul nothing is charged, and by design there is no way around it; the tests take some minutes. */
export function banksAreDown() {
  const minute = Math.floor(((Date.now() + SEOUL) % 86_400_000) / 60_000);
  return minute < 30 || minute >= 23 * 60 + 20;
}

async function listen(server) {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server.address().port;
}

/**
 * Passes requests on, and notes them. A dropped connection is passed on as one. What `instead` answers to a note, as a status and a body, is not passed on.
 */
async function recorder(target, note) {
  const seen = [];
  const it = { instead: () => undefined };
  const server = createServer(async (incoming, outgoing) => {
    const body = Buffer.concat(await incoming.toArray());
    const noted = note(incoming, body.toString());
    seen.push(noted);
    const [status, answer] = it.instead(noted) ?? [];
    if (status) return outgoing.writeHead(status, { 'content-type': 'application/x-amz-json-1.0' }).end(JSON.stringify(answer));
    const passed = request(new URL(incoming.url, target), { method: incoming.method, headers: incoming.headers }, (answer) => {
      outgoing.writeHead(answer.statusCode, answer.headers);
      answer.pipe(outgoing);
    });
    passed.on('error', () => outgoing.destroy());
    passed.end(body);
  });
  const port = await listen(server);
  const close = () => (server.closeAllConnections(), server.close());
  return Object.assign(it, { url: `http://127.0.0.1:${port}`, take: () => seen.splice(0), close });
}

/** An event of events/, such as `webhook/paid`, as if it were sent now. */
export function eventOf(name) {
  const made = spawnSync(program, ['event', `${root}events/${name}.json`], { encoding: 'utf8' });
  assert.equal(made.status, 0, made.stderr);
  return JSON.parse(made.stdout);
}

/** A batch for the worker. */
export const batchOf = (...messages) => ({
  Records: messages.map((message, i) => ({ messageId: `message-${i}`, body: typeof message === 'string' ? message : JSON.stringify(message) })),
});

export const messageTo = (id, more) => ({ run: '2026-01-01T01:00:00Z', now: Date.now(), userId: `user-${id}`, subscriptionId: `sub-${id}`, ...more });

export class World {
  static async open({ bare = true, world = false, readTimeout = 5 } = {}) {
    const ports = ['api', 'portone', 'dynamodb', 'console', 'aws'].flatMap((port) => [`--${port}-port`, '0']);
    const args = ['serve', ...(bare ? ['--bare'] : []), '--read-timeout', String(readTimeout), ...ports];
    const child = spawn(program, [...args, ...(world ? ['--world', `${root}events/world.json`] : [])], { stdio: ['ignore', 'pipe', 'inherit'] });
    const [line] = await once(createInterface(child.stdout), 'line');
    const it = Object.assign(new World(), { child, ready: JSON.parse(line), functions: [], closed: [() => child.kill('SIGKILL')] });
    const settings = { region: 'ap-northeast-2', credentials: { accessKeyId: 'sandbox', secretAccessKey: 'sandbox' } };
    it.dynamodb = DynamoDBDocumentClient.from(new DynamoDBClient({ ...settings, endpoint: it.ready.dynamodb }));
    it.askedOfDynamodb = await recorder(it.ready.dynamodb, ({ headers }, body) => {
      const operation = headers['x-amz-target'].split('.')[1];
      if (!['GetItem', 'BatchGetItem'].includes(operation)) return operation;
      const { RequestItems, ...one } = JSON.parse(body);
      const reads = RequestItems ? Object.values(RequestItems) : [one];
      const rows = RequestItems ? `${operation} of ${reads.flatMap(({ Keys }) => Keys).length}` : operation;
      return reads.every(({ ConsistentRead }) => ConsistentRead) ? rows : `${rows} that may be stale`;
    });
    it.askedOfPortone = await recorder(it.ready.portone, ({ method, url, headers }, body) => ({
      method,
      path: url.replace(/\?.*/, ''),
      key: headers['idempotency-key'],
      body: body && JSON.parse(body),
    }));
    it.sentToSqs = await recorder(it.ready.aws, (_, body) => {
      const { DelaySeconds, MessageBody } = JSON.parse(body);
      return { delay: DelaySeconds, message: MessageBody && JSON.parse(MessageBody) };
    });
    it.closed.push(it.askedOfDynamodb.close, it.askedOfPortone.close, it.sentToSqs.close, () => it.dynamodb.destroy());
    return it;
  }

  close() {
    for (const close of this.closed) close();
  }

  async console(path, body) {
    const answer = await fetch(`${this.ready.console}/api/${path}`, body && { method: 'POST', body: JSON.stringify(body) });
    const text = await answer.text();
    assert.ok(answer.ok, `${path}: ${text}`);
    return JSON.parse(text);
  }

  /** A customer who owes, from today on, for the days that are left of the month. */
  async customer(id, more) {
    const wish = { userId: `user-${id}`, subscriptionId: `sub-${id}`, email: `user-${id}@example.com`, name: `고객 ${id}`, phone: '010-0000-0000' };
    const terms = { planType: 'standard', teamSeats: 3, currency: 'KRW', locale: 'ko', pgProvider: 'TOSSPAYMENTS', firstPeriod: todayInSeoul() };
    const { customers } = await this.console('customers', { ...wish, ...terms, ...more });
    return customers[0];
  }

  async invoice(id) {
    const { invoices } = await this.console(`invoices?userId=user-${id}`);
    assert.equal(invoices.length, 1, `user-${id} has ${invoices.length} invoices`);
    return invoices[0];
  }

  async subscription(id) {
    return (await this.console(`subscriptions?userId=user-${id}`)).subscriptions[0];
  }

  /** The kinds of an invoice's events, in order. */
  async events({ paymentId }) {
    return (await this.console(`events?subject=${paymentId}`)).events;
  }

  async approvals({ paymentId }) {
    return (await this.console('portone/ledger')).approvals.filter((approval) => approval.paymentId === paymentId);
  }

  waiting = async () => (await this.console('queues')).waiting;

  /** Changes a row by hand; `undefined` removes an attribute. */
  async change(table, Key, attributes) {
    const names = Object.keys(attributes);
    const [set, remove] = [names.filter((name) => attributes[name] !== undefined), names.filter((name) => attributes[name] === undefined)];
    const [sets, removes] = [set.map((name) => `#${name} = :${name}`), remove.map((name) => `#${name}`)];
    const parts = [set.length && `SET ${sets.join(', ')}`, remove.length && `REMOVE ${removes.join(', ')}`];
    await this.dynamodb.send(
      new UpdateCommand({
        TableName: this.ready.tables[table],
        Key,
        UpdateExpression: parts.filter(Boolean).join(' '),
        ExpressionAttributeNames: Object.fromEntries(names.map((name) => [`#${name}`, name])),
        ...(set.length && { ExpressionAttributeValues: Object.fromEntries(set.map((name) => [`:${name}`, attributes[name]])) }),
      }),
    );
  }

  read = async (table, Key) => (await this.dynamodb.send(new GetCommand({ TableName: this.ready.tables[table], Key }))).Item;
  changeInvoice = async (id, attributes) => this.change('invoices', { paymentId: (await this.invoice(id)).paymentId }, attributes);
  changeSubscription = (id, attributes) => this.change('subscriptions', { userId: `user-${id}`, subscriptionId: `sub-${id}` }, attributes);

  /** A webhook as PortOne would send it now. */
  webhook(type, data, { secret = this.ready.webhookSecret, age = 0, contentType = 'application/json', id = 'webhook-1', body } = {}) {
    const timestamp = new Date(Date.now() - age * 1000).toISOString();
    const payload = body ?? JSON.stringify({ type, timestamp, data: { storeId: this.ready.storeId, transactionId: 'transaction-1', ...data } });
    const seconds = String(Math.floor(Date.now() / 1000) - age);
    const signature = createHmac('sha256', Buffer.from(secret.slice('whsec_'.length), 'base64')).update(`${id}.${seconds}.${payload}`).digest('base64');
    const headers = { 'content-type': contentType, 'webhook-id': id, 'webhook-timestamp': seconds, 'webhook-signature': `v1,${signature}` };
    return { version: '2.0', headers, body: payload, isBase64Encoded: false };
  }

  /** A bundled function under the bootstrap. It reaches DynamoDB, PortOne and SQS through the recorders. */
  async start(name, more) {
    const given = await this.console('environment');
    const environment = {
      ...given,
      QUEUE_COLLECT_URL: given.QUEUE_COLLECT_URL.replace(this.ready.aws, this.sentToSqs.url),
      AWS_ENDPOINT_URL_DYNAMODB: this.askedOfDynamodb.url,
      PORTONE_BASE_URL: this.askedOfPortone.url,
      ...more,
    };
    const started = await startFunction(name, environment);
    this.closed.push(started.close);
    this.askedOfDynamodb.take();
    this.askedOfPortone.take();
    return started;
  }
}

/** Starts a function as Lambda does, and waits until it asks for an event; throws if it says that it cannot start. */
export async function startFunction(name, environment) {
  const events = [];
  const waiting = { next: [], told: [] };
  const told = [];
  const tell = (what) => (waiting.told.length ? waiting.told.shift()(what) : told.push(what));
  const hear = () => (told.length ? told.shift() : new Promise((resolve) => waiting.told.push(resolve)));
  const server = createServer(async (incoming, outgoing) => {
    const body = Buffer.concat(await incoming.toArray()).toString();
    if (incoming.url.endsWith('/next')) {
      tell({ ready: true });
      const event = events.length ? events.shift() : await new Promise((resolve) => waiting.next.push(resolve));
      outgoing.setHeader('lambda-runtime-aws-request-id', 'request-1');
      outgoing.setHeader('lambda-runtime-deadline-ms', Date.now() + 90_000);
      outgoing.end(JSON.stringify(event));
    } else {
      outgoing.writeHead(202).end();
      tell(incoming.url.endsWith('/response') ? { answer: JSON.parse(body) } : { error: JSON.parse(body) });
    }
  });
  const port = await listen(server);
  const child = spawn(process.execPath, [`${here}src/bootstrap.mjs`], {
    env: { ...environment, _HANDLER: 'index.handler', LAMBDA_TASK_ROOT: `${here}dist/${name}`, AWS_LAMBDA_RUNTIME_API: `127.0.0.1:${port}` },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let log = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (log += text));
  const exited = once(child, 'exit');
  const close = () => (child.kill('SIGKILL'), server.closeAllConnections(), server.close());
  const first = await Promise.race([hear(), exited.then(([code]) => ({ error: { errorMessage: `exit ${code}: ${log}` } }))]);
  if (first.error) {
    close();
    throw new Error(first.error.errorMessage);
  }
  return {
    close,
    log: () => log,
    async invoke(event) {
      if (waiting.next.length) waiting.next.shift()(event);
      else events.push(event);
      const { answer, error } = await hear();
      if (error) throw new Error(error.errorMessage);
      await hear(); // it asks for the next
      return answer;
    },
    async terminate() {
      child.kill('SIGTERM');
      return (await exited)[0];
    },
  };
}
