import { describe, expect, it } from 'vitest';
import { GatewayError } from '../errors.js';
import { containerHash } from './container-hash.js';
import { isDelegated, parseBatch, parseSubmission } from './submission.js';

const UINT256_MAX = 2n ** 256n - 1n;
const OWNER = `0x${'Ab'.repeat(20)}`;
const SIGNATURE = `{ "nonce":3, "expiry":4294967295,"v":27, "r":${UINT256_MAX},"s" : ${UINT256_MAX - 1n} }`;
const ADDRESSES = ['verifier', 'payment_token', 'wallet'].map((name) => `"${name}":"0x${'0'.repeat(40)}"`);
const COMMON = `"owner":"${OWNER}","active_at":1,"period":0,"frequency":1,"redundancy":2`;

function body(
  parts: { signature?: string; subscription?: string; data?: string; more?: string } = {},
): string {
  const { signature = SIGNATURE, subscription = newForm(), data = '{"x":1.0}', more = '' } = parts;
  return `{${more}"data":${data},"signature":${signature},"subscription":${subscription}}`;
}

function newForm(changes: { containers?: string; payment?: string; lazy?: string } = {}): string {
  const { containers = containerHash(['echo']), payment = '9007199254740993', lazy = 'false' } = changes;
  return (
    `{${COMMON},"containers":"${containers}","lazy":${lazy},` +
    `"payment_amount":${payment}, ${ADDRESSES.join(',')}}`
  );
}

function oldForm(ids: string): string {
  return `{${COMMON},"max_gas_price":1000000000000,"max_gas_limit":3000000,"container_id":"${ids}","inputs":"0x00"}`;
}

function delegated(text: string) {
  const submission = parseSubmission(Buffer.from(text));
  if (!isDelegated(submission)) throw new Error('it was taken for a job');
  return submission;
}

function refusalOf(text: string): { message: string; field: unknown } {
  try {
    parseSubmission(Buffer.from(text));
  } catch (error) {
    if (error instanceof GatewayError) return { message: error.message, field: error.params['field'] };
    throw error;
  }
  throw new Error('the request was accepted');
}

describe('a delegated subscription', () => {
  it('keeps every byte of signature, subscription and data, and drops what a node would obey', () => {
    const request = delegated(body({ more: '"id":"mine","ip":"1.2.3.4","type":1,"extra":{},' }));
    expect(request.body.toString()).toBe(
      `{"signature":${SIGNATURE},"subscription":${newForm()},"data":{"x":1.0}}`,
    );
    expect(request).toMatchObject({
      owner: OWNER.toLowerCase(),
      signature: { nonce: 3, expiry: 4294967295 },
      redundancy: 2,
      containers: { form: '1.x', hash: containerHash(['echo']) },
    });
  });

  it('names its containers by a hash with or without 0x', () => {
    const hash = containerHash(['a', 'b']);
    for (const containers of [hash, `0x${hash}`]) {
      expect(delegated(body({ subscription: newForm({ containers }) })).containers).toEqual({
        form: '1.x',
        hash,
      });
    }
  });

  it('may have the older form, with ids in plain text', () => {
    const request = delegated(body({ subscription: oldForm('a,b') }));
    expect(request.containers).toEqual({ form: '0.x', ids: ['a', 'b'] });
    expect(request.body.toString()).toContain(oldForm('a,b'));
  });

  it('with containers beside it is an ordinary job', () => {
    const submission = parseSubmission(Buffer.from(body({ more: '"containers":["echo"],' })));
    expect(isDelegated(submission)).toBe(false);
    expect(submission.body.toString()).toBe('{"containers":["echo"],"data":{"x":1.0}}');
  });

  const without = (text: string, member: string): string =>
    text.replace(new RegExp(`"${member}":[^,}]*,?`), '');

  it.each([
    ['a missing signature', `{"subscription":${newForm()},"data":{}}`, 'signature'],
    ['a signature that is none', body({ signature: '"0x12"' }), 'signature'],
    ['missing data', `{"subscription":${newForm()},"signature":${SIGNATURE}}`, 'data'],
    ['data that is no object', body({ data: '[1]' }), 'data'],
    ['a subscription that is none', body({ subscription: '[]' }), 'subscription'],
    ['r in hexadecimal', body({ signature: SIGNATURE.replace(/"r":\d+/, '"r":"0x12"') }), 'signature.r'],
    [
      's of 257 bits',
      body({ signature: SIGNATURE.replace(/"s" : \d+/, `"s":${2n ** 256n}`) }),
      'signature.s',
    ],
    [
      'a fractional nonce',
      body({ signature: SIGNATURE.replace('"nonce":3', '"nonce":3.0') }),
      'signature.nonce',
    ],
    [
      'a negative nonce',
      body({ signature: SIGNATURE.replace('"nonce":3', '"nonce":-3') }),
      'signature.nonce',
    ],
    [
      'an expiry of 33 bits',
      body({ signature: SIGNATURE.replace('4294967295', '4294967296') }),
      'signature.expiry',
    ],
    ['no v', body({ signature: without(SIGNATURE, 'v') }), 'signature.v'],
    ['no owner', body({ subscription: without(newForm(), 'owner') }), 'subscription.owner'],
    ['a short owner', body({ subscription: newForm().replace(OWNER, '0x12') }), 'subscription.owner'],
    ['no redundancy', body({ subscription: without(newForm(), 'redundancy') }), 'subscription.redundancy'],
    ['no containers', body({ subscription: without(newForm(), 'containers') }), 'subscription.containers'],
    ['ids for a hash', body({ subscription: newForm({ containers: 'echo' }) }), 'subscription.containers'],
    ['lazy as a text', body({ subscription: newForm({ lazy: '"no"' }) }), 'subscription.lazy'],
    ['an exponent', body({ subscription: newForm({ payment: '1e18' }) }), 'subscription.payment_amount'],
    [
      'a million digits',
      body({ subscription: newForm({ payment: '1'.repeat(1e6) }) }),
      'subscription.payment_amount',
    ],
    ['an empty id', body({ subscription: oldForm('a,,b') }), 'subscription.container_id'],
  ])('is refused for %s', (_what, text, field) => {
    const refusal = refusalOf(text);
    expect(refusal.field).toBe(field);
    expect(refusal.message).toContain(field);
  });
});

describe('a batch', () => {
  it('answers a bad item in its place', () => {
    const items = parseBatch(
      Buffer.from(`[{"containers":["a"],"data":{}}, 7, ${body()}, {"subscription":{},"data":{}}]`),
    );
    expect(items[0]).toMatchObject({ containers: ['a'] });
    expect(items[1]).toMatchObject({ code: 'MALFORMED_REQUEST', params: { field: 'body', index: 1 } });
    expect(items[2]).toMatchObject({ owner: OWNER.toLowerCase() });
    expect(items[3]).toMatchObject({ code: 'MALFORMED_REQUEST', params: { field: 'signature', index: 3 } });
  });

  it('is a list, or nothing', () => {
    expect(parseBatch(Buffer.from('[]'))).toEqual([]);
    expect(() => parseBatch(Buffer.from('{}'))).toThrow('Expected a list');
  });
});
