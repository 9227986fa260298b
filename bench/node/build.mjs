// Bundles each function with its dependencies, minified, and zips it: dist/webhook/index.mjs, dist/webhook.zip, and the worker's.
//
// The AWS SDK is bundled, so that a cold start does not load the runtime's own copy, file by file.

import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const here = fileURLToPath(new URL('.', import.meta.url));
process.chdir(here);
rmSync('dist', { recursive: true, force: true });

const sizeOf = (file) => `${(statSync(file).size / 1024).toFixed(0)} KiB`;

for (const name of ['webhook', 'worker']) {
  mkdirSync(`dist/${name}`, { recursive: true });
  const outfile = `dist/${name}/index.mjs`;
  await build({
    entryPoints: [`src/${name}.mjs`],
    outfile,
    bundle: true,
    minify: true,
    treeShaking: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    // The SDK's ES modules, which can be shaken, instead of its CommonJS, which cannot.
    mainFields: ['module', 'main'],
    alias: { '@aws-sdk/credential-provider-node': './src/shared/credentials.mjs' },
    // For what requires Node's own modules in CommonJS.
    banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
    legalComments: 'none',
    logLevel: 'warning',
  });
  const zip = `dist/${name}.zip`;
  try {
    execFileSync('zip', ['-q', '-X', '-9', '-j', zip, outfile]);
  } catch (error) {
    if (error.code !== 'ENOENT') throw error;
    execFileSync('python3', ['-m', 'zipfile', '-c', zip, outfile]);
  }
  console.log(`${name}: ${sizeOf(outfile)} bundled, ${sizeOf(zip)} zipped`);
}
