import { describe, expect, it } from 'vitest';
import { StreamRowReader, type StreamRow } from './stream-row.js';

function read(text: string, options: { keep?: number; step?: number } = {}): StreamRow | undefined {
  const bytes = Buffer.from(text);
  const { keep = 1_000, step = bytes.length } = options;
  const reader = new StreamRowReader(keep);
  for (let at = 0; at < bytes.length; at += step) reader.push(bytes.subarray(at, at + step));
  return reader.end();
}

const OUTPUT = '{"container":"a","output":{"output":"say \\"id\\":1, {[\\\\ \\u00e4 ]} \\\\\\""}}';
const ROW = `[{"id":"j","result":${OUTPUT},"status":"success"}]\n`;

describe('StreamRowReader', () => {
  it.each([1, 2, 3, 7, 1_000])('finds status and result in pieces of %i bytes', (step) => {
    const row = read(ROW, { step });
    expect(row).toMatchObject({ id: 'j', status: 'success', resultBytes: Buffer.byteLength(OUTPUT) });
    expect(row?.result?.toString()).toBe(OUTPUT);
  });

  it('counts a result that is too long, and still finds the status behind it', () => {
    const long = `"${'x\\n'.repeat(100_000)}"`;
    const text = `[{"id":"j","result":${long},"status":"failed"}]`;
    expect(read(text, { step: 4_096 })).toEqual({
      id: 'j',
      status: 'failed',
      result: undefined,
      resultBytes: long.length,
    });
  });

  it('reads rows that are written otherwise', () => {
    const row = read(
      '[ { "status" : "running" , "x" : {"status":"failed"}, "result" : null , "id" : "j" } ]',
    );
    expect(row).toMatchObject({ id: 'j', status: 'running' });
    expect(row?.result?.toString().trim()).toBe('null');
  });

  it('knows that a node does not know a job', () => {
    expect(read('[]\n')).toBeUndefined();
  });

  it.each(['', '{"id":"j"}', '<html>', '[{"id":"j","result":null', '[{"id":"j"}]', '[{"status":"success"}]'])(
    'does not take %s for an answer',
    (text) => {
      expect(() => read(text)).toThrow(/expected/);
    },
  );
});
