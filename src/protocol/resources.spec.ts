import { describe, expect, it } from 'vitest';
import { mergeResources, mergeSupport, readResources, writeResources } from './resources.js';

const merge = (...values: string[]): string =>
  mergeResources(values.map((value) => Buffer.from(value))).toString();
const support = (...values: string[]): string =>
  mergeSupport(values.map((value) => Buffer.from(value))).toString();

it('what is read is written again, byte for byte but for the order of containers', () => {
  const body = Buffer.from('{"b":{"n":1e3,"x":NaN},"a":[1.0,-Infinity , "\\ud800"]}');
  expect(writeResources(readResources(body)).toString()).toBe(
    '{"a":[1.0,-Infinity , "\\ud800"],"b":{"n":1e3,"x":NaN}}\n',
  );
  expect(writeResources([]).toString()).toBe('{}\n');
  expect(() => readResources(Buffer.from('[]'))).toThrow('an object expected, not array');
  expect(() => readResources(Buffer.from('{"a":'))).toThrow('expected at byte');
});

describe('mergeResources', () => {
  it('leaves equal values as they are', () => {
    expect(merge('{"a": 1.0}', '{"a": 1.0}')).toBe('{"a": 1.0}');
  });

  it('unites models of a capability, and lists hardware that differs', () => {
    const node = (models: string, gpu: string): string =>
      `{"service_id":"s","hardware_capabilities":[{"capability_id":"base","gpu":"${gpu}"}],` +
      `"compute_capability":[{"id":"ml","type":"text","models":[],"cached_models":[${models}]}]}`;
    expect(JSON.parse(merge(node('"a","b"', 'x'), node('"b","c"', 'y'), node('"d"', 'x')))).toEqual({
      service_id: 's',
      hardware_capabilities: [
        { capability_id: 'base', gpu: 'x' },
        { capability_id: 'base', gpu: 'y' },
      ],
      compute_capability: [{ id: 'ml', type: 'text', models: [], cached_models: ['a', 'b', 'c', 'd'] }],
    });
  });

  it('keeps the first of values that cannot be united, and numbers as they came', () => {
    expect(merge('{"a":1e3,"b":"x"}', '{"a":1000,"c":1.0,"b":[]}')).toBe('{"a":1e3,"b":"x","c":1.0}');
    expect(merge('1', '[2]')).toBe('1');
  });
});

describe('mergeSupport', () => {
  const yes = '{"supported": true}';
  const no = '{"supported":false}';
  const failed = '{"error":"boom","supported":false}';

  it('is true if it is on any node', () => {
    expect(support(failed, no, yes)).toBe(yes);
  });

  it('else an answer without an error goes first', () => {
    expect(support(failed, no)).toBe(no);
    expect(support(failed)).toBe(failed);
    expect(support('17', failed)).toBe('17');
  });
});
