import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    // Tests wait for servers more than they compute.
    maxWorkers: 4,
    projects: [
      { test: { name: 'unit', include: ['src/**/*.spec.ts', 'bench/**/*.spec.ts'] } },
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
