import { expect, it } from 'vitest';
import { compared, typical, type Window } from './windows.js';

const window = (side: string, perSecond: number, unfinished = 0): Window => ({
  side,
  connections: 32,
  perSecond,
  p50Ms: 1,
  p99Ms: 2,
  unfinished,
});

it('compares two sides within each round, and takes the middle of the rounds', () => {
  // The machine was three times slower in the second round; that says nothing about the ratio.
  const windows = [
    [window('proxy', 300), window('gateway', 150)],
    [window('gateway', 60), window('proxy', 100)],
    [window('proxy', 300), window('gateway', 120)],
  ].flat();
  const ratio = compared(
    windows,
    ['gateway', 'proxy'],
    (gateway, proxy) => gateway.perSecond / proxy.perSecond,
  );
  expect(ratio).toBe(0.5);
});

it('gives the median of each figure, and all jobs that did not end', () => {
  const windows = [
    window('gateway', 10, 1),
    window('gateway', 30, 2),
    window('gateway', 20),
    window('proxy', 1),
  ];
  expect(typical(windows, 'gateway')).toMatchObject({ perSecond: 20, unfinished: 3 });
  expect(() => typical(windows, 'nginx')).toThrow('nginx was not measured');
});
