import { expect, it } from 'vitest';
import { EventParser } from './sse.js';

it('finds events however the text is cut', () => {
  const text = ': hello\n\nid: 7\nevent: stats\ndata: {"a":1}\n\ndata: x\ndata: y\n\n';
  const expected = [
    { name: 'stats', id: '7', data: '{"a":1}' },
    { name: 'message', id: undefined, data: 'x\ny' },
  ];
  for (let cut = 0; cut <= text.length; cut += 1) {
    const parser = new EventParser();
    expect([...parser.take(text.slice(0, cut)), ...parser.take(text.slice(cut))]).toEqual(expected);
  }
});
