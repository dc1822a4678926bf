import { FastifyAdapter } from '@nestjs/platform-fastify';
import { describe, expect, it } from 'vitest';
import { readSettings, SettingsError } from './settings.js';

function problemsOf(environment: Record<string, string>): readonly string[] {
  try {
    readSettings(environment);
  } catch (error) {
    if (error instanceof SettingsError) return error.problems;
    throw error;
  }
  throw new Error('the settings were accepted');
}

describe('settings', () => {
  it('needs nothing', () => {
    const settings = readSettings({});
    expect(settings.port).toBe(4000);
    expect(settings.databaseUrl).toBeUndefined();
    expect(settings.retention).toBe(7 * 86_400_000);
    expect(settings.nodes).toEqual([]);
  });

  it('reads units, lists and switches', () => {
    const settings = readSettings({
      NODES: 'http://a:4000, http://b:4000',
      RETENTION: '90m',
      TRUST_PROXY: 'loopback',
      KEEP_REQUESTS: '1',
      DATABASE_URL: '',
    });
    expect(settings.nodes).toEqual(['http://a:4000', 'http://b:4000']);
    expect(settings.retention).toBe(5_400_000);
    expect(settings.trustProxy).toBe('loopback');
    expect(settings.keepRequests).toBe(true);
  });

  it('names every wrong setting, its value and what was expected', () => {
    expect(problemsOf({ PORT: '70000', RETENTION: 'soon', LOG_LEVEL: 'info' })).toEqual([
      'PORT="70000": expected at most 65535',
      'RETENTION="soon": expected a duration such as 30s, 15m, 12h or 7d',
    ]);
  });

  it.each([
    'true',
    'false',
    'loopback',
    'linklocal, uniquelocal',
    '10.0.0.1',
    '10.0.0.0/8,192.168.0.7/32',
    '::1, fd00::/8 ,2001:db8::1/128,::ffff:10.0.0.1',
  ])('takes proxies as %j', (TRUST_PROXY) => {
    const { trustProxy } = readSettings({ TRUST_PROXY });
    expect(String(trustProxy)).toBe(TRUST_PROXY);
    // What is taken here must not fail later.
    expect(() => new FastifyAdapter({ trustProxy })).not.toThrow();
  });

  it.each([
    'nginx',
    'TRUE',
    '1',
    '10.0.0.1,',
    ',',
    'loopback,nginx',
    '10.0.0',
    '10.0.0.0/33',
    '10.0.0.0/0',
    '10.0.0.0/',
    '10.0.0.0/8/8',
    '10.0.0.0/255.0.0.0',
    'fd00::/129',
    'loopback/8',
    '10.0.0.1:80',
    'toString',
  ])('does not take proxies as %j', (text) => {
    expect(problemsOf({ TRUST_PROXY: text })).toEqual([
      `TRUST_PROXY="${text}": expected true, false or a comma-separated list of IP addresses, ranges such as 10.0.0.0/8 and the names loopback, linklocal, uniquelocal`,
    ]);
  });

  it('never prints a secret', () => {
    expect(problemsOf({ ADMIN_TOKEN: 'hunter2', DATABASE_URL: 'mysql://u:pw@h/db' }).join()).not.toMatch(
      /hunter2|pw@/,
    );
  });
});
