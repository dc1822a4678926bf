import { expect, it } from 'vitest';
import { demoOptions, UsageError } from './command-line.js';

it('knows --once and --help and nothing else', () => {
  expect(demoOptions([])).toEqual({ once: false });
  expect(demoOptions(['--once'])).toEqual({ once: true });
  expect(demoOptions(['--once', '-h'])).toBe('help');
  expect(() => demoOptions(['--onec'])).toThrow(
    new UsageError('Unknown argument "--onec". Usage: npm run demo [-- --once | --help]'),
  );
});
