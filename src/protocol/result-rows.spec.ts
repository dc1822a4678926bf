import { describe, expect, it } from 'vitest';
import { ResultRowReader, type OversizeRow, type ResultRow } from './result-rows.js';

const REPLY =
  '[{"id":"a","result":{"container":"c","output":{"x":1.0,"n":NaN,"s":"]}\\"[{"}},"status":"success"},' +
  ' {"id":"b","result":null,"status":"running"},' +
  '{"id":"c","intermediate_results":[1],"result":{"container":"c","error":"é"},"status":"failed"}]\n';

function readInChunksOf(size: number, text: string, maxRowBytes = 1_000): (ResultRow | OversizeRow)[] {
  const reader = new ResultRowReader(maxRowBytes);
  const bytes = Buffer.from(text);
  const rows = [];
  for (let at = 0; at < bytes.length; at += size) rows.push(...reader.push(bytes.subarray(at, at + size)));
  reader.end();
  return rows;
}

describe('result rows', () => {
  it.each([1, 2, 3, 7, 50, 10_000])('are cut out whole from chunks of %d bytes', (size) => {
    const rows = readInChunksOf(size, REPLY) as ResultRow[];
    expect(
      rows.map((row) => [row.id, row.status, row.result.toString(), row.intermediate?.toString()]),
    ).toEqual([
      ['a', 'success', '{"container":"c","output":{"x":1.0,"n":NaN,"s":"]}\\"[{"}}', undefined],
      ['b', 'running', 'null', undefined],
      ['c', 'failed', '{"container":"c","error":"é"}', '[1]'],
    ]);
  });

  it.each([1, 13, 10_000])(
    'drops an oversize row, keeps its id and the rows around it (chunks of %d)',
    (size) => {
      const large = `{"id":"big","result":"${'x'.repeat(5_000)}","status":"success"}`;
      const rows = readInChunksOf(
        size,
        `[{"id":"a","status":"running"},${large},{"id":"z","status":"running"}]`,
        900,
      );
      expect(rows).toMatchObject([{ id: 'a' }, { id: 'big', oversize: true }, { id: 'z' }]);
    },
  );

  it.each([
    '',
    '{}',
    '[{"id":"a","status":"running"}',
    '[1,',
    'null',
    '[{"id":"a"}]',
    '[{"id":"a","status":"odd"}]',
    '[]]',
  ])('refuses %j', (text) => {
    expect(() => readInChunksOf(100, text)).toThrow('expected');
  });

  it('takes an empty reply', () => {
    expect(readInChunksOf(1, '[]\n')).toEqual([]);
  });
});
