import { Gateway } from './gateway.js';
import { steady } from './scenarios.js';
import { World } from './world.js';

/** What the gateway takes a node's slots for, over time. */
export interface Learning {
  readonly node: number;
  readonly slots: number;
  /** Time in s and slots known then. */
  readonly points: readonly (readonly [number, number])[];
}

const WATCHED = [2, 6, 9];
const EVERY_MS = 100;
const UNTIL_MS = 60_000;

/** How slots are found out in the first minute, at a load of 0.9. */
export function learningOf(seed: number): Learning[] {
  const scenario = { ...steady('exponential', 0.9), jobs: 5_000 };
  const points = new Map<number, [number, number][]>(WATCHED.map((node) => [node, []]));
  const world = new World(scenario, seed);
  world.run((one) => {
    const gateway = new Gateway(one);
    const look = (): void => {
      const { nodes } = gateway.policy.explain(['work'], one.nowMs);
      for (const node of WATCHED) points.get(node)?.push([one.nowMs / 1_000, nodes[node]?.slots ?? 1]);
      if (one.nowMs < UNTIL_MS) one.agenda.at(one.nowMs + EVERY_MS, look);
    };
    one.agenda.at(0, look);
    return gateway;
  });
  return WATCHED.map((node) => ({
    node,
    slots: scenario.slots[node] as number,
    points: points.get(node) ?? [],
  }));
}
