// Log lines and metrics (CloudWatch's embedded metric format), under the names that the Rust functions use.
//
// They are written to stdout directly: `console.log` of the managed runtime wraps a line in JSON of its own, and CloudWatch finds no metric in that.

import { metricsNamespace } from './config.mjs';

const write = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

export function log(level, message, fields) {
  write({ timestamp: new Date().toISOString(), level, message, ...fields });
}

/** Counts. `counted` holds [metric, value, dimension sets]; `fields` the dimensions' values, and what else the line is to tell. */
function metric(counted, fields) {
  const CloudWatchMetrics = counted.map(([Name, , Dimensions]) => ({
    Namespace: metricsNamespace,
    Dimensions,
    Metrics: [{ Name, Unit: Name === 'PaidAmount' ? 'None' : 'Count' }],
  }));
  const values = Object.fromEntries(counted.map(([name, value]) => [name, value]));
  write({ _aws: { Timestamp: Date.now(), CloudWatchMetrics }, ...values, ...fields });
}

const ALARMING = new Set(['payment_refused', 'invoice_quarantined', 'unknown_payment', 'dispute']);

export const counted = {
  event(Kind) {
    const alarm = ALARMING.has(Kind) ? [['Alarms', 1, [[], ['Kind']]]] : [];
    metric([['Events', 1, [['Kind']]], ...alarm], { Kind });
  },
  charge(Outcome, cause, { amount, currency }) {
    const paid = Outcome === 'paid' ? [['PaidAmount', amount, [['Currency']]]] : [];
    metric([['Charges', 1, [['Outcome']]], ...paid], { Outcome, cause, Currency: currency });
  },
  collected({ status, skipped }, { run, asks = 0 }) {
    const skip = skipped ? [['Skipped', 1, [['Why']]]] : [];
    metric([['Collected', 1, [['Result']]], ...skip], { Result: status ?? 'skipped', Why: skipped, run, asks });
  },
  stopped: (reason) => metric([['Stopped', 1, [[]]]], { function: 'worker', reason }),
  webhook: (Result) => metric([['Webhooks', 1, [['Result']]]], { Result }),
};
