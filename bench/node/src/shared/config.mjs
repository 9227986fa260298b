// What the operator sets: the variables that the Rust functions read, too. None holds a secret.

function required(name) {
  const value = process.env[name]?.trim();
  if (!value) throw new Error(`${name} is not set`);
  return value;
}

function seconds(name, fallback) {
  const value = process.env[name]?.trim() || String(fallback);
  if (!/^[1-9]\d{0,2}$/.test(value)) throw new Error(`${name} must be a whole number of seconds`);
  return Number(value);
}

function dunningDays(text) {
  const days = text.split(',').map(Number);
  const rises = days.every((day, i) => Number.isInteger(day) && day > (days[i - 1] ?? 0) && day <= 27);
  if (!rises || days.length > 3) throw new Error('DUNNING_DAYS must be one to three rising days from 1 to 27');
  return days;
}

export const tables = {
  subscriptions: required('TABLE_SUBSCRIPTIONS'),
  invoices: required('TABLE_INVOICES'),
  events: required('TABLE_EVENTS'),
  controls: required('TABLE_CONTROLS'),
};

export const portone = {
  storeId: required('PORTONE_STORE_ID'),
  baseUrl: process.env.PORTONE_BASE_URL?.trim() || 'https://api.portone.io',
  apiSecretId: required('PORTONE_API_SECRET_ID'),
  readTimeoutMs: 1000 * seconds('PORTONE_READ_TIMEOUT_SECONDS', 60),
};

export const ladder = dunningDays(process.env.DUNNING_DAYS?.trim() || '1,3,5');
export const metricsNamespace = process.env.METRICS_NAMESPACE?.trim() || 'Billing';

export const webhookSecretId = () => required('PORTONE_WEBHOOK_SECRET_ID');
export const collectQueueUrl = () => required('QUEUE_COLLECT_URL');

// infra/catalogue.toml, as far as order names and mails show it. Prices are frozen in the subscriptions.
export const BRAND = 'Sivera';
export const PLAN_NAMES = { standard: { ko: 'Standard', en: 'Standard' }, pro: { ko: 'Pro', en: 'Pro' } };
