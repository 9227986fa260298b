// AWS clients, made once for all invocations, and the secrets. Connections are kept alive: that is the SDK's default.

import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { GetSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import { log } from './log.mjs';

export const settings = {
  region: process.env.AWS_REGION,
  maxAttempts: 3,
  requestHandler: { connectionTimeout: 3000, requestTimeout: 5000, throwOnRequestTimeout: true },
};

export const dynamodb = DynamoDBDocumentClient.from(new DynamoDBClient(settings), {
  marshallOptions: { removeUndefinedValues: true },
});

const secretsManager = new SecretsManagerClient(settings);

const TIME_TO_LIVE_MS = 300_000;
const AFTER_FAILURE_MS = 60_000;
const MIN_INTERVAL_MS = 5000;

/** A secret that can be replaced while functions run: kept for five minutes, and read again early if what it opens refuses it. */
export class Secret {
  #id;
  #text;
  #freshUntil = 0;
  #lastRead = -Infinity;
  #reading;

  constructor(id) {
    this.#id = id;
  }

  async get() {
    if (Date.now() < this.#freshUntil) return this.#text;
    try {
      return await this.#read();
    } catch (error) {
      if (this.#text === undefined) throw error;
      this.#freshUntil = Date.now() + AFTER_FAILURE_MS;
      log('WARN', 'a secret could not be read again; the value read before is used on', { id: this.#id, error: error.name });
      return this.#text;
    }
  }

  /** The secret, if it is another than the one that was just refused; read at most once in five seconds, however many are refused. */
  async otherThan(refused) {
    if (this.#text === refused && Date.now() - this.#lastRead >= MIN_INTERVAL_MS) await this.#read().catch(() => {});
    return this.#text === refused ? undefined : this.#text;
  }

  #read() {
    this.#lastRead = Date.now();
    this.#reading ??= secretsManager
      .send(new GetSecretValueCommand({ SecretId: this.#id }))
      .then(({ SecretString }) => {
        const text = SecretString?.trim();
        if (!text) throw new Error(`secret ${this.#id} has no text`);
        this.#freshUntil = Date.now() + TIME_TO_LIVE_MS;
        return (this.#text = text);
      })
      .finally(() => (this.#reading = undefined));
    return this.#reading;
  }
}

/** Opens connections during initialisation, when a function has a whole processor; for a second at most. What fails is seen when it is needed. */
export async function prewarm(...work) {
  let timer;
  const late = new Promise((resolve) => (timer = setTimeout(resolve, 1000)));
  await Promise.race([Promise.allSettled(work), late]);
  clearTimeout(timer);
}
