import { afterEach, describe, expect, it } from 'vitest';
import { TestGateway } from '../support/gateway.js';
import { json } from '../support/http.js';

/** Nobody becomes another caller by what they write into a request. */

let gateway: TestGateway;
afterEach(() => gateway.stop());

/** Who the gateway takes a request for: the caller that the newest job is stored with. */
async function callerOf(headers: Record<string, string>): Promise<string> {
  await gateway.submit(['echo'], {}, headers);
  const { jobs } = json<{ jobs: { caller: string }[] }>(await gateway.admin('GET', '/jobs?limit=1'));
  return jobs[0]?.caller ?? '';
}

async function start(trustProxy: string): Promise<void> {
  const { EmulatedNode } = await import('../../src/emulator/emulated-node.js');
  const node = await EmulatedNode.start({ rateLimit: false });
  gateway = await TestGateway.start({ TRUST_PROXY: trustProxy });
  await gateway.register(node.url);
  const stop = gateway.stop.bind(gateway);
  gateway.stop = async () => {
    await stop();
    await node.stop();
  };
}

const SPOOFS: Record<string, string>[] = [
  { 'x-forwarded-for': '192.0.2.1' },
  { 'x-forwarded-for': '192.0.2.1, 192.0.2.2, 127.0.0.1' },
  { 'x-forwarded-for': 'unknown' },
  { forwarded: 'for=192.0.2.1;host=example.org;proto=https' },
  { 'x-real-ip': '192.0.2.1' },
  { 'x-client-ip': '192.0.2.1' },
  { 'cf-connecting-ip': '192.0.2.1' },
  { 'true-client-ip': '192.0.2.1' },
  { via: '1.1 192.0.2.1' },
  { host: '192.0.2.1' },
  { 'x-forwarded-host': '192.0.2.1' },
];

describe('without a trusted proxy', () => {
  it('no header makes another caller', async () => {
    await start('false');
    for (const spoof of SPOOFS) expect(await callerOf(spoof), JSON.stringify(spoof)).toBe('loopback');
  });
});

describe('with a trusted proxy that is somebody else', () => {
  it('no header makes another caller', async () => {
    await start('198.51.100.0/24');
    for (const spoof of SPOOFS) expect(await callerOf(spoof), JSON.stringify(spoof)).toBe('loopback');
  });
});

describe('behind a trusted proxy', () => {
  it('X-Forwarded-For counts, from the right, and nothing else does', async () => {
    await start('loopback,10.0.0.0/8');
    for (const [forwarded, caller] of [
      ['192.0.2.1', '192.0.2.1'],
      // What a caller wrote itself stands left of what the proxy saw.
      ['192.0.2.66, 192.0.2.1', '192.0.2.1'],
      ['127.0.0.1, 192.0.2.1', '192.0.2.1'],
      // A chain of proxies, all trusted.
      ['192.0.2.1, 10.0.0.1, 10.0.0.2', '192.0.2.1'],
      ['192.0.2.66, 192.0.2.1, 10.0.0.1', '192.0.2.1'],
      // One of them is not.
      ['192.0.2.1, 203.0.113.5, 10.0.0.2', '203.0.113.5'],
      ['::ffff:192.0.2.1', '192.0.2.1'],
      ['2001:DB8:0::1', '2001:db8::1'],
      ['192.0.2.1:4711', '192.0.2.1'],
    ] as const) {
      expect(await callerOf({ 'x-forwarded-for': forwarded }), forwarded).toBe(caller);
    }
    for (const spoof of SPOOFS.slice(3))
      expect(await callerOf(spoof), JSON.stringify(spoof)).toBe('loopback');
  });

  it('what is no address is refused, be it long or clever', async () => {
    await start('loopback');
    for (const forwarded of [
      'unknown',
      '_hidden',
      "' OR 1=1 --",
      'x'.repeat(10_000),
      '192.0.2.1, somebody',
    ]) {
      const reply = await gateway.post('{"containers":["echo"],"data":{}}', { 'x-forwarded-for': forwarded });
      expect([reply.status, json<object>(reply)]).toMatchObject([
        400,
        { params: { field: 'x-forwarded-for' } },
      ]);
    }
  });
});
