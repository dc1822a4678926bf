import { Random } from './random.js';

interface FaultProfile {
  /** How often it strikes; a run has at least one of each kind. */
  readonly perMinute: number;
  /** What it strikes. Faults with the same target wait for each other. */
  readonly on: 'gateway' | 'node' | 'link' | 'postgres' | 'redis' | 'queue';
  /** How long it lasts, in ms; for kills the time until the restart. */
  readonly forMs: readonly [low: number, high: number];
}

/** How long a gateway's lease on a node lives, in ms; pauses are longer. */
export const LEASE_TTL_MS = 3_000;

/** Every kind of fault. The rates give a run of ten minutes its 30 kills and 5 restarts, with some to spare. */
export const FAULTS = {
  'kill-gateway': { perMinute: 3.5, on: 'gateway', forMs: [300, 2_500] },
  'stop-gateway': { perMinute: 0.7, on: 'gateway', forMs: [300, 1_500] },
  'pause-gateway': { perMinute: 0.7, on: 'gateway', forMs: [LEASE_TTL_MS * 1.5, LEASE_TTL_MS * 3] },
  'kill-node': { perMinute: 3.5, on: 'node', forMs: [100, 4_000] },
  'restart-node': { perMinute: 2, on: 'node', forMs: [0, 1_500] },
  'drop-response': { perMinute: 12, on: 'link', forMs: [4_000, 8_000] },
  reset: { perMinute: 3, on: 'link', forMs: [2_000, 5_000] },
  delay: { perMinute: 3, on: 'link', forMs: [3_000, 6_000] },
  'black-hole': { perMinute: 2, on: 'link', forMs: [2_000, 6_000] },
  refuse: { perMinute: 2, on: 'link', forMs: [500, 3_000] },
  'restart-postgres': { perMinute: 0.7, on: 'postgres', forMs: [0, 3_000] },
  'flush-queue': { perMinute: 0.7, on: 'queue', forMs: [0, 0] },
  'restart-redis': { perMinute: 0.7, on: 'redis', forMs: [0, 3_000] },
} as const satisfies Record<string, FaultProfile>;

export type FaultKind = keyof typeof FAULTS;

export const FAULT_KINDS = Object.keys(FAULTS) as FaultKind[];

/** One fault to come. `atMs` counts from the start of the load, `target` from 0 among its kind. */
export interface PlannedFault {
  readonly kind: FaultKind;
  readonly atMs: number;
  readonly target: number;
  readonly forMs: number;
  /** Drawn for faults that come in several strengths; at least 0, below 1. */
  readonly strength: number;
}

export interface ScheduleInput {
  readonly seed: number;
  readonly durationMs: number;
  readonly kinds: readonly FaultKind[];
  readonly replicas: number;
  readonly nodes: number;
}

/** Nothing strikes before the first jobs are under way, nor when the load is about to end. */
const CALM_MS = 2_000;

/**
 * The faults of a run in order of their time; the same input gives the same faults. Each kind is spread evenly over
 * the run, one in each of as many equal parts, so that a short run is not quiet by chance. A kind draws from its own
 * numbers: leaving others out does not move it.
 */
export function planFaults({ seed, durationMs, kinds, replicas, nodes }: ScheduleInput): PlannedFault[] {
  const usableMs = Math.max(0, durationMs - 2 * CALM_MS);
  const planned = kinds.flatMap((kind) => {
    const { perMinute, on, forMs } = FAULTS[kind];
    const random = new Random(seed * 1_000 + FAULT_KINDS.indexOf(kind));
    const count = Math.max(1, Math.ceil((perMinute * durationMs) / 60_000));
    const targets = on === 'gateway' ? replicas : on === 'node' || on === 'link' ? nodes : 1;
    return Array.from({ length: count }, (_, index) => ({
      kind,
      atMs: Math.round(CALM_MS + ((index + random.next()) / count) * usableMs),
      target: random.between(0, targets - 1),
      forMs: random.between(forMs[0], forMs[1]),
      strength: random.next(),
    }));
  });
  return planned.sort((a, b) => a.atMs - b.atMs);
}
