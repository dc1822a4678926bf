import { describe, expect, it } from 'vitest';
import { shortJson, wrapped } from './shorten.js';

describe('shortJson', () => {
  it('leaves what is short alone', () => {
    expect(shortJson({ a: [1, 'two', null], b: { c: true } })).toBe('{"a":[1,"two",null],"b":{"c":true}}');
  });

  it('says how long a cut list and a cut string are', () => {
    expect(shortJson(Array.from({ length: 1_536 }, (_, index) => index))).toBe('[0,1,2,... 1,536 in all]');
    expect(shortJson('x'.repeat(100))).toBe(`"${'x'.repeat(64)}... (100 characters)"`);
  });
});

describe('wrapped', () => {
  it('breaks between members and parameters, not inside texts', () => {
    expect(wrapped('{"a":"one, two","b":2}', 16)).toEqual(['{"a":"one, two",', '"b":2}']);
    expect(wrapped('/api/jobs?id=1&id=2', 16)).toEqual(['/api/jobs?id=1&', 'id=2']);
  });

  it('keeps a text without breaks in one piece', () => {
    expect(wrapped('x'.repeat(30), 10)).toEqual(['x'.repeat(30)]);
  });
});
