import { describe, expect, it } from 'vitest';
import type { ErrorPatterns } from '../config/settings.js';
import { verdictOf } from './verdict.js';

function verdict(status: 'success' | 'failed', result: unknown, errorWhen: ErrorPatterns = {}) {
  const bytes = Buffer.from(typeof result === 'string' ? result : JSON.stringify(result));
  return verdictOf({ id: 'x', status, result: bytes, intermediate: undefined }, ['first', 'last'], errorWhen);
}
const success = (output: unknown, errorWhen?: ErrorPatterns) =>
  verdict('success', { container: 'last', output }, errorWhen);
const failure = (error: unknown) => verdict('failed', { container: 'first', error });
const httpError = (code: unknown) => ({ code, name: 'Some Error', description: 'said the service' });

const SUCCEEDED = { kind: 'final', state: 'succeeded' };
const FAILED = { kind: 'final', state: 'failed' };

describe('verdictOf a failure', () => {
  it.each([
    "Cannot connect to host localhost:3000 ssl:default [Connect call failed ('127.0.0.1', 3000)]",
    'Server disconnected',
    'Response payload is not completed: <ContentLengthError: 400>',
  ])('takes the node’s own plumbing for no end of the job: %s', (text) => {
    expect(failure(text)).toEqual({
      kind: 'retry',
      reason: `the node could not use the container: ${text}`,
      blamesNode: true,
      lastResort: 'failure',
    });
  });

  it('gives one more try, and no blame, after the time limit, which leaves no text', () => {
    expect(failure('')).toMatchObject({ kind: 'retry', limit: 2, blamesNode: false, lastResort: 'failure' });
  });

  it.each([
    'ValueError: this container always fails',
    'they said: Server disconnected',
    ' Cannot connect to host x',
    null,
    500,
    undefined,
    { message: 'Server disconnected' },
  ])('leaves everything else to the job: %j', (error) => {
    expect(failure(error)).toEqual(FAILED);
  });

  it.each(['', 'null', '[]', '"Server disconnected"', '{"error":NaN}', `{"error":"${'x'.repeat(70_000)}"}`])(
    'does not stumble over what has another shape: %.40s',
    (bytes) => {
      expect(verdict('failed', bytes)).toEqual(FAILED);
    },
  );
});

describe('verdictOf a success', () => {
  it.each([500, 503, 599, '500', '502'])('sees an HTTP error in disguise: code %j', (code) => {
    expect(success(httpError(code))).toEqual({
      kind: 'retry',
      reason: `the container answered HTTP ${code}`,
      blamesNode: true,
      lastResort: 'as-it-is',
    });
  });

  it.each([httpError(400), httpError(499), httpError('404')])(
    'delivers an error of the request as it is, and learns nothing from it: %j',
    (output) => {
      expect(success(output)).toEqual({ ...SUCCEEDED, disguised: true });
    },
  );

  it.each([
    httpError(200),
    httpError(500.5),
    httpError('five hundred'),
    httpError(null),
    httpError([500]),
    httpError([500, 1]),
    { ...httpError(500), more: 1 },
    { code: 500, name: 'Some Error' },
    { error: httpError(500) },
    [httpError(500)],
    'Internal Server Error',
    null,
    0,
  ])('delivers anything else as it is: %j', (output) => {
    expect(success(output)).toEqual(SUCCEEDED);
  });

  it('reads no output that is too large for an error object', () => {
    const output = { ...httpError(500), description: 'x'.repeat(70_000) };
    expect(success(output)).toEqual(SUCCEEDED);
  });

  it('does not stumble over numbers that JavaScript cannot read', () => {
    expect(verdict('success', '{"container":"last","output":NaN}')).toEqual(SUCCEEDED);
    expect(verdict('success', 'null')).toEqual(SUCCEEDED);
  });
});

describe('verdictOf a success that is nested deeper than the stack goes', () => {
  const deep = `${'['.repeat(30_000)}${']'.repeat(30_000)}`;
  const withCode = `{"container":"last","output":{"code":${deep},"name":"","description":""}}`;

  it('delivers it as it is', () => {
    expect(verdict('success', withCode)).toEqual(SUCCEEDED);
  });

  it.each([500, 'error', null, [], [[]], { deeper: [] }])(
    'looks no further into it than an error that an operator names: %j',
    (code) => {
      expect(verdict('success', withCode, { last: { code } })).toEqual(SUCCEEDED);
    },
  );
});

describe('verdictOf a success that an operator calls an error', () => {
  const errorWhen = { last: { status: 'error', detail: { kind: 'model' } }, first: { status: 'bad' } };

  it('finds the members of the pattern among others, at any depth', () => {
    const output = { status: 'error', detail: { kind: 'model', text: 'x' }, more: [1] };
    expect(success(output, errorWhen)).toMatchObject({
      kind: 'retry',
      blamesNode: true,
      lastResort: 'as-it-is',
    });
  });

  it('takes lists as a whole', () => {
    const pattern = { last: { codes: [1, { kind: 'model' }] } };
    expect(success({ codes: [1, { kind: 'model' }] }, pattern).kind).toBe('retry');
    expect(success({ codes: [1, { kind: 'model' }, 2] }, pattern)).toEqual(SUCCEEDED);
  });

  it.each([
    { status: 'error' },
    { status: 'error', detail: { kind: 'other' } },
    { status: 'error', detail: 'model' },
    { status: 'bad' },
    'error',
    null,
  ])('wants all of them, of the last container: %j', (output) => {
    expect(success(output, errorWhen)).toEqual(SUCCEEDED);
  });
});
