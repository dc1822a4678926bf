import { describe, expect, it } from 'vitest';
import { placing, type Candidate, type PlacedOffer } from './placing.js';

const up = (...ids: string[]): Candidate[] => ids.map((nodeId) => ({ nodeId, open: true }));
const down = (...ids: string[]): Candidate[] => ids.map((nodeId) => ({ nodeId, open: false }));
const offer = (nodeId: string, state: PlacedOffer['state'], dueInMs = -1): PlacedOffer => {
  return { id: `offer-${nodeId}`, nodeId, state, dueInMs };
};

describe('free places', () => {
  it('go to the first nodes that are open', () => {
    expect(placing(2, [], [...down('a'), ...up('b', 'c', 'd')])).toMatchObject({
      start: ['b', 'c'],
      again: [],
    });
  });

  it('are one where none is asked for', () => {
    expect(placing(0, [], up('a', 'b')).start).toEqual(['a']);
  });

  it('are not given away while an offer holds them', () => {
    for (const state of ['pending', 'sending'] as const) {
      expect(placing(1, [offer('a', state)], up('a', 'b'))).toMatchObject({ start: [], again: [] });
    }
  });

  it.each(['unreachable', 'lost', 'refused'] as const)('go to another node after %s', (state) => {
    expect(placing(1, [offer('a', state)], up('a', 'b'))).toMatchObject({ start: ['b'], again: [] });
  });

  it('go to the same node once more when there is no other and its time has come', () => {
    expect(placing(1, [offer('a', 'unreachable')], up('a')).again).toEqual(['offer-a']);
    const early = placing(1, [offer('a', 'unreachable', 700)], up('a'));
    expect(early).toEqual({ start: [], again: [], checkInMs: 700 });
  });

  it('never to one that accepted or refused', () => {
    const offers = [offer('a', 'accepted'), offer('b', 'refused'), offer('c', 'unreachable')];
    expect(placing(3, offers, up('a', 'b', 'c'))).toMatchObject({ start: [], again: ['offer-c'] });
  });
});

describe('the end', () => {
  it('is reached with as many as wanted', () => {
    const offers = [offer('a', 'accepted'), offer('b', 'accepted')];
    expect(placing(2, offers, up('a', 'b', 'c')).end).toBe('accepted');
  });

  it('is reached with fewer when no other node could ever have it', () => {
    expect(placing(5, [offer('a', 'accepted'), offer('b', 'refused')], up('a', 'b')).end).toBe('accepted');
  });

  it('waits for a node that is down, or for an answer', () => {
    expect(placing(2, [offer('a', 'accepted')], [...up('a'), ...down('b')]).end).toBeUndefined();
    expect(placing(2, [offer('a', 'accepted'), offer('b', 'sending')], up('a', 'b')).end).toBeUndefined();
  });

  it('is a refusal when all that could have it have refused', () => {
    expect(placing(2, [offer('a', 'refused'), offer('b', 'refused')], up('a', 'b')).end).toBe('refused');
    expect(placing(2, [offer('a', 'refused')], [...up('a'), ...down('b')]).end).toBeUndefined();
  });

  it('is not reached before anybody was asked', () => {
    expect(placing(1, [], []).end).toBeUndefined();
  });
});
