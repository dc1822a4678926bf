import { describe, expect, it } from 'vitest';
import { readExplorerAnswer, readNodesFile, UnusableList } from './node-list.js';

describe('readNodesFile', () => {
  it('takes lines of host:port and URLs, with blanks and remarks between them', () => {
    const text =
      '10.0.0.1:4000\r\n\n# mine\n10.0.0.2:4000   # basement\n  https://my-node.example/ \n10.0.0.1:4000\n';
    expect(readNodesFile(text)).toEqual([
      'http://10.0.0.1:4000',
      'http://10.0.0.2:4000',
      'https://my-node.example',
    ]);
    expect(readNodesFile('')).toEqual([]);
  });

  it('names the line that is no node', () => {
    expect(() => readNodesFile('10.0.0.1:4000\n10.0.0.2:40000000\n')).toThrow(/^line 2: url is not a URL/);
    expect(() => readNodesFile('ftp://x')).toThrow(UnusableList);
  });
});

describe('readExplorerAnswer', () => {
  it('knows the default port, and ports that are texts', () => {
    const data = [
      { ip: '10.0.0.1' },
      { ip: '10.0.0.2', port: 80 },
      { ip: '10.0.0.3', port: '4001', more: 1 },
    ];
    expect(readExplorerAnswer(JSON.stringify({ data: [...data, { ip: 'fe80::1', port: null }] }))).toEqual({
      urls: ['http://10.0.0.1:4000', 'http://10.0.0.2', 'http://10.0.0.3:4001', 'http://[fe80::1]:4000'],
      leftOut: 0,
    });
    expect(readExplorerAnswer('{"data":[]}')).toEqual({ urls: [], leftOut: 0 });
  });

  it('leaves out entries that are no node', () => {
    const data = [{ ip: 'a/../b' }, { ip: 'x', port: 0 }, 7, null, { port: 1 }, { ip: 'ok' }];
    expect(readExplorerAnswer(JSON.stringify({ data }))).toEqual({ urls: ['http://ok:4000'], leftOut: 5 });
  });

  it.each(['', '<html>', '[]', '{"data":{}}', '{}', '{"data":[7]}'])('refuses %s', (text) => {
    expect(() => readExplorerAnswer(text)).toThrow(UnusableList);
  });
});
