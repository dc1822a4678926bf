import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { performance } from 'node:perf_hooks';
import { expect, it } from 'vitest';
import { Listener } from './listener.js';

it('sends nothing for 5 ms after the id line, however early the output is there', async () => {
  const writes: { readonly text: string; readonly atMs: number }[] = [];
  const server = createServer((_request, response: ServerResponse) => {
    const write = response.write.bind(response) as (bytes: Uint8Array, done?: () => void) => boolean;
    response.write = ((bytes: string | Uint8Array, done?: () => void) => {
      writes.push({ text: Buffer.from(bytes as string).toString(), atMs: performance.now() });
      return write(Buffer.from(bytes as string), done);
    }) as ServerResponse['write'];
    const listener = new Listener(response, 10_000, () => undefined);
    listener.begin('some-id', 'text/html');
    void Promise.resolve(listener.write(Buffer.from('output'))).then(() => listener.end());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    const gapsMs: number[] = [];
    // Without the pause some of them would be quick, also on a busy machine.
    for (let count = 0; count < 30; count += 1) {
      writes.length = 0;
      const reply = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
      expect(await reply.text()).toBe('some-id\noutput');
      expect(writes.map(({ text }) => text)).toEqual(['some-id\n', 'output']);
      gapsMs.push((writes[1]?.atMs ?? 0) - (writes[0]?.atMs ?? 0));
    }
    expect(Math.min(...gapsMs)).toBeGreaterThanOrEqual(5);
  } finally {
    server.closeAllConnections();
    server.close();
  }
});
