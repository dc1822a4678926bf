import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import { expect, it } from 'vitest';
import { LiveReader, sseEvent } from './live-reader.js';

it('buffers nothing for a reader that does not read, and makes good what it missed', async () => {
  const output = new PassThrough({ highWaterMark: 1_000 });
  const reader = new LiveReader(output, () => 'snapshot');
  for (let update = 0; update < 1_000; update += 1) reader.send('x'.repeat(600));
  expect(output.readableLength + output.writableLength).toBeLessThan(3_000);
  let read = '';
  output.on('data', (chunk: Buffer) => (read += chunk.toString()));
  await once(output, 'drain');
  reader.send('update');
  reader.end();
  await once(output, 'end');
  expect(read).toMatch(/^x+snapshotupdate$/);
});

it('sends no snapshot to a reader that missed nothing', async () => {
  const output = new PassThrough({ highWaterMark: 10 });
  const reader = new LiveReader(output, () => 'snapshot');
  reader.send('a long update that fills the buffer');
  output.resume();
  await once(output, 'drain');
  reader.end();
  reader.send('after the end');
  await once(output, 'end');
  expect(output.readableLength).toBe(0);
});

it('writes events as EventSource reads them', () => {
  expect(sseEvent('stats', { a: 'x\ny' }, '7')).toBe('id: 7\nevent: stats\ndata: {"a":"x\\ny"}\n\n');
  expect(sseEvent('nodes', [])).toBe('event: nodes\ndata: []\n\n');
});
