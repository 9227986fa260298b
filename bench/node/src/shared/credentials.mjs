// Put in the place of the SDK's default chain when a function is bundled (build.mjs): Lambda gives credentials in the environment, and what looks
// for them elsewhere (SSO, files, roles, other processes) would only be loaded.

export { fromEnv as defaultProvider } from '@aws-sdk/credential-provider-env';
