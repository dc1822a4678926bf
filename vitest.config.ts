import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    // Tests wait for servers more than they compute.
    maxWorkers: 4,
    // A busy build machine stalls processes for seconds. A test that passes only at a later try is reported as such.
    retry: process.env['CI'] === undefined ? 0 : 2,
    projects: [
      // A machine that is busy may need long for what is short.
      { test: { name: 'unit', include: ['src/**/*.spec.ts', 'bench/**/*.spec.ts'], testTimeout: 30_000 } },
      {
        test: {
          name: 'integration',
          include: ['test/**/*.spec.ts'],
          globalSetup: ['test/support/global-setup.ts'],
          testTimeout: 60_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
});
