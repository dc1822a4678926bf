import { expect, it } from 'vitest';
import { mayHaveIt, verdictOf } from './explain-words.js';
import type { ExplainedNode } from './shapes.js';

function row(id: string, eligible: boolean | null, reason: string | null = null): ExplainedNode {
  const node = { id, name: null, url: null };
  return { node, eligible, reason, outstanding: 0, foreign: 0, budgetInMs: 0 };
}

const open = row('open', true);
const closed = row('closed', false, 'it is draining');
const elsewhere = row('elsewhere', null, 'another replica decides about it');

it('names the node that would get another job, whatever other gateways hold', () => {
  expect(verdictOf({ choice: { id: 'open', name: 'oslo' }, nodes: [open, elsewhere] })).toBe(
    'Another job would go to oslo',
  );
});

it('says that a job would wait only if no other gateway may take it', () => {
  expect(verdictOf({ choice: null, nodes: [closed] })).toBe('Another job would wait');
  expect(verdictOf({ choice: null, nodes: [elsewhere, elsewhere, closed] })).toBe(
    'No node of the gateway that answered would get another job now; other gateways work with 2 more',
  );
});

it('tells a node of another gateway from one that may not have the job', () => {
  expect([open, elsewhere, closed].map(mayHaveIt)).toEqual([
    'yes',
    'another replica decides',
    'no: it is draining',
  ]);
});
