import type pg from 'pg';
import { usageBetween, type Insight } from './insight.js';
import { load, type LoadOptions } from './load.js';
import { median } from '../numbers.js';
import { unfinishedAtLast } from './unfinished.js';

/** One of those that are compared. */
export interface Side {
  readonly name: string;
  readonly url: string;
  readonly insight?: Insight;
  /** Of a gateway, so that jobs which never end are not counted. */
  readonly database?: pg.Client;
}

/** What one side did in one round. */
export interface Window {
  readonly side: string;
  readonly connections: number;
  /** Jobs that were answered and have ended in time. */
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Of the side's own process, for each job until it has ended; undefined where it cannot be asked. */
  readonly cpuUs?: number;
  readonly allocatedBytes?: number;
  /** Jobs that were answered and had not ended 10 s after the last of them. */
  readonly unfinished: number;
}

export interface WindowOptions extends Omit<LoadOptions, 'url'> {
  /** Jobs in a body, or 1. */
  readonly jobs: number;
}

/** Loads one side, and waits until the jobs that it took have ended. */
export async function measure(side: Side, options: WindowOptions): Promise<Window> {
  const { jobs, connections } = options;
  const before = await side.insight?.look();
  const { answered, perSecond, p50Ms, p99Ms } = await load({ ...options, url: side.url });
  const unfinished = side.database === undefined ? 0 : await unfinishedAtLast(side.database);
  const after = await side.insight?.look();
  const usage = before === undefined || after === undefined ? undefined : usageBetween(before, after);
  const taken = answered * jobs;
  return {
    side: side.name,
    connections,
    perSecond: (perSecond * jobs * (taken - unfinished)) / taken,
    p50Ms,
    p99Ms,
    unfinished,
    ...(usage && { cpuUs: usage.cpuUs / taken, allocatedBytes: usage.allocatedBytes / taken }),
  };
}

/** In each round all sides take their turn, each round beginning with another: whatever the machine does meets all. */
export async function inTurns(
  sides: readonly Side[],
  rounds: number,
  options: WindowOptions | ((side: Side) => WindowOptions),
): Promise<Window[]> {
  const windows: Window[] = [];
  for (let round = 0; round < rounds; round += 1) {
    for (let turn = 0; turn < sides.length; turn += 1) {
      const side = sides[(round + turn) % sides.length] as Side;
      windows.push(await measure(side, typeof options === 'function' ? options(side) : options));
    }
  }
  return windows;
}

/** The median of each figure over the rounds of one side. */
export function typical(windows: readonly Window[], side: string): Window {
  const own = windows.filter((window) => window.side === side);
  const [first] = own;
  if (first === undefined) throw new Error(`${side} was not measured`);
  const of = (figure: (window: Window) => number): number => median(own.map(figure));
  return {
    ...first,
    perSecond: of(({ perSecond }) => perSecond),
    p50Ms: of(({ p50Ms }) => p50Ms),
    p99Ms: of(({ p99Ms }) => p99Ms),
    unfinished: own.reduce((sum, { unfinished }) => sum + unfinished, 0),
    ...(first.cpuUs !== undefined && {
      cpuUs: of(({ cpuUs }) => cpuUs ?? NaN),
      allocatedBytes: of(({ allocatedBytes }) => allocatedBytes ?? NaN),
    }),
  };
}

/** The median over the rounds of what a comparison of two sides in the same round gives. */
export function compared(
  windows: readonly Window[],
  [first, second]: readonly [string, string],
  compare: (first: Window, second: Window) => number,
): number {
  const own = (side: string): Window[] => windows.filter((window) => window.side === side);
  const seconds = own(second);
  return median(own(first).map((window, round) => compare(window, seconds[round] as Window)));
}
