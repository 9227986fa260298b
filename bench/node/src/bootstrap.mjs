// Lambda's Runtime API loop, so that a bundled handler runs as a plain process, as a Rust function does.
//
// The managed Node runtime does more than this (a native client, log and error patching, X-Ray, streaming, beforeExit), which takes time and memory:
// to measure with this loop flatters Node a little.
//
// _HANDLER=index.handler LAMBDA_TASK_ROOT=dist/webhook AWS_LAMBDA_RUNTIME_API=127.0.0.1:9001 node src/bootstrap.mjs

import { Agent, request } from 'node:http';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

process.on('SIGTERM', () => process.exit(0));

const [host, port = 80] = process.env.AWS_LAMBDA_RUNTIME_API.split(':');
const agent = new Agent({ keepAlive: true });

function call(method, path, body, headers = {}) {
  return new Promise((done, failed) => {
    const options = { agent, host, port, method, path: `/2018-06-01/runtime/${path}`, headers };
    const sent = request(options, async (response) => {
      try {
        const chunks = await response.toArray();
        const text = Buffer.concat(chunks).toString();
        if (response.statusCode >= 300) throw new Error(`the Runtime API answered ${response.statusCode} to ${path}: ${text}`);
        done({ headers: response.headers, text });
      } catch (error) {
        failed(error);
      }
    });
    sent.on('error', failed);
    sent.end(body);
  });
}

function tellError(path, error) {
  const errorType = error?.name ?? 'Error';
  const body = JSON.stringify({ errorType, errorMessage: error?.message ?? String(error), stackTrace: error?.stack?.split('\n') ?? [] });
  return call('POST', path, body, { 'content-type': 'application/json', 'lambda-runtime-function-error-type': errorType });
}

let handler;
try {
  const [module, name] = process.env._HANDLER.split('.');
  ({ [name]: handler } = await import(pathToFileURL(resolve(process.env.LAMBDA_TASK_ROOT ?? '.', `${module}.mjs`))));
  if (typeof handler !== 'function') throw new Error(`${process.env._HANDLER} is not a function`);
} catch (error) {
  console.error(error);
  await tellError('init/error', error);
  process.exit(1);
}

for (;;) {
  const { headers, text } = await call('GET', 'invocation/next');
  const id = headers['lambda-runtime-aws-request-id'];
  const deadline = Number(headers['lambda-runtime-deadline-ms']);
  const context = {
    awsRequestId: id,
    functionName: process.env.AWS_LAMBDA_FUNCTION_NAME,
    invokedFunctionArn: headers['lambda-runtime-invoked-function-arn'],
    getRemainingTimeInMillis: () => deadline - Date.now(),
  };
  process.env._X_AMZN_TRACE_ID = headers['lambda-runtime-trace-id'];
  try {
    const answer = JSON.stringify((await handler(JSON.parse(text), context)) ?? null);
    await call('POST', `invocation/${id}/response`, answer, { 'content-type': 'application/json' });
  } catch (error) {
    console.error(error);
    await tellError(`invocation/${id}/error`, error);
  }
}
