import { describe, expect, it } from 'vitest';
import { bytesOf, decoded, jsonElements, jsonMembers, JsonSyntaxError, jsonValue } from './raw-json.js';

function membersOf(text: string): Record<string, string> {
  const bytes = Buffer.from(text);
  const members = jsonMembers(bytes, jsonValue(bytes));
  return Object.fromEntries([...members].map(([key, slice]) => [key, bytesOf(bytes, slice).toString()]));
}

describe('raw JSON', () => {
  it('finds the bytes of each member, untouched', () => {
    expect(membersOf(' { "a" : 1.0 , "b":{"x":[1, 2]},"c":1e400,"d":NaN,"e":-Infinity } ')).toEqual({
      a: '1.0',
      b: '{"x":[1, 2]}',
      c: '1e400',
      d: 'NaN',
      e: '-Infinity',
    });
  });

  it('lets the last of duplicate keys count, however the key is escaped', () => {
    expect(membersOf('{"id":1,"\\u0069d":2}')).toEqual({ id: '2' });
  });

  it('keeps integers beyond 2**53, lone surrogates and inner duplicate keys', () => {
    const data = `{"n":${2n ** 256n - 1n},"s":"\\ud800","d":1,"d":2}`;
    expect(membersOf(`{"data":${data}}`)['data']).toBe(data);
  });

  it('takes any nesting without touching the stack', () => {
    const deep = '['.repeat(200_000) + ']'.repeat(200_000);
    expect(membersOf(`{"data":${deep}}`)['data']).toBe(deep);
  });

  it('lists the elements of an array', () => {
    const text = Buffer.from('[1, {"a":[]}, "x", [] ,{}, null]');
    expect(jsonElements(text, jsonValue(text)).map((slice) => bytesOf(text, slice).toString())).toEqual([
      '1',
      '{"a":[]}',
      '"x"',
      '[]',
      '{}',
      'null',
    ]);
    const empty = Buffer.from(' [ ] ');
    expect(jsonElements(empty, jsonValue(empty))).toEqual([]);
  });

  it.each([
    '',
    ' ',
    '{',
    '[1,]',
    '{"a":1,}',
    '{a:1}',
    "{'a':1}",
    '01',
    '1.',
    '.5',
    '+1',
    '1e',
    '-',
    '-NaN',
    'tru',
    'nulll',
    '"\\x"',
    '"\\u12g4"',
    '"a\nb"',
    '"open',
    '[1 2]',
    '{"a" 1}',
    '{"a":1 "b":2}',
    '[1]]',
    '{"a":1}}',
    '[}',
    '{"a":]}',
    '\ufeff{}',
  ])('refuses %j', (text) => {
    const bytes = Buffer.from(text);
    expect(() => jsonValue(bytes)).toThrow(JsonSyntaxError);
  });

  it('refuses bytes that are not UTF-8', () => {
    expect(() => jsonValue(Buffer.from([0x22, 0xff, 0x22]))).toThrow('UTF-8');
  });

  it('agrees with JSON.parse on what is JSON, over seeded mutations of valid texts', () => {
    const alphabet = '{}[]",:0123456789.eE+-truefalsn\\u \n\t"';
    const valid = '{"a":[1,-2.5e+3,"x\\u00e9\\n"],"b":{"c":null,"d":[true,false,{}]},"e":[[],[0]]}';
    let seed = 42;
    const random = (bound: number): number => {
      seed = (Math.imul(seed, 1_103_515_245) + 12_345) & 0x7fffffff;
      return seed % bound;
    };
    for (let round = 0; round < 20_000; round += 1) {
      let text = valid;
      for (let edits = random(3) + 1; edits > 0; edits -= 1) {
        const at = random(text.length);
        text = text.slice(0, at) + alphabet[random(alphabet.length)] + text.slice(at + random(3));
      }
      const bytes = Buffer.from(text);
      let expected: unknown;
      let isJson = true;
      try {
        expected = JSON.parse(text);
      } catch {
        isJson = false;
      }
      if (isJson) {
        expect(decoded(bytes, jsonValue(bytes)), text).toEqual(expected);
      } else {
        expect(() => jsonValue(bytes), text).toThrow(JsonSyntaxError);
      }
    }
  });
});
