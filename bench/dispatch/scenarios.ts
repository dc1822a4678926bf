import type { WorkLaw } from './random.js';
import { FLEET, type Fault, type Scenario } from './world.js';

/** What the policy is measured against in a scenario. */
export type Against = 'omniscient' | 'least-pending';
/** How the gateway is set up in it. */
export type Setup = 'gateway' | 'replicas' | 'polling';

/** A row of the table: a scenario, and what mean and p99 may be as multiples of what it is measured against. */
export interface Row {
  readonly scenario: Scenario;
  readonly setup: Setup;
  readonly against: Against;
  readonly mean?: number;
  readonly p99?: number;
  readonly makespan?: number;
}

const BASE: Omit<Scenario, 'name'> = {
  law: 'exponential',
  utilisation: 0.7,
  ...FLEET,
  discipline: 'fifo',
  faults: [],
  scale: 1,
  arrivals: 'poisson',
  jobs: 40_000,
};
const LAWS: readonly WorkLaw[] = ['exponential', 'lognormal', 'bimodal'];

export const BURST: Scenario = { ...BASE, name: 'burst of 10,000', arrivals: 'burst', jobs: 10_000 };

export const HOLE: Scenario = { ...BASE, name: 'node 6 a black hole', faults: [during('hole')] };

/** Poisson arrivals of jobs of that size. */
export function steady(law: WorkLaw, utilisation: number): Scenario {
  return { ...BASE, name: `${law} ${utilisation}`, law, utilisation };
}

export const ROWS: readonly Row[] = [
  ...LAWS.flatMap((law) => [0.5, 0.7, 0.9, 0.95].map((utilisation) => steadyRow(law, utilisation))),
  fault({ ...BASE, name: 'node 6 ten times slower', faults: [during('slow')] }),
  fault(HOLE),
  fault({ ...BASE, name: 'node 6 hangs', faults: [during('hang')] }),
  fault({ ...BASE, name: 'nodes 8 and 9 join', faults: [8, 9].map((node) => absentUntil(node)) }),
  row({ ...BASE, name: 'node 2 taken by others', foreign: { node: 2, share: 0.8 } }, 1.25, 1.25),
  row(
    { ...BASE, name: 'node 6 false successes', faults: [{ ...during('hole'), from: 0, until: 1 }] },
    1.25,
    1.25,
  ),
  ...[0.7, 0.9].map((load) =>
    row({ ...steady('exponential', load), name: `4 replicas ${load}` }, 1.3, 1.2, 'replicas'),
  ),
  { scenario: BURST, setup: 'gateway', against: 'omniscient', makespan: 1.05 },
  {
    scenario: {
      ...BASE,
      name: 'no slots, 1,000 at once',
      slots: FLEET.slots.map(() => 100_000),
      speeds: FLEET.speeds.map(() => 1),
      arrivals: { clients: 1_000 },
    },
    setup: 'gateway',
    against: 'least-pending',
    mean: 1.1,
  },
  ...(['exponential', 'lognormal'] as const).flatMap((law) =>
    [0.7, 0.9].map((load): Row => {
      const scenario: Scenario = {
        ...steady(law, load),
        name: `shared processors, ${law} ${load}`,
        discipline: 'sharing',
      };
      return { scenario, setup: 'gateway', against: 'least-pending', mean: 1.3, p99: 1.3 };
    }),
  ),
  ...[0.7, 0.9].map((load) =>
    row({ ...steady('long', load), name: `limits 60/min, polled ${load}` }, 1.55, 1.2, 'polling'),
  ),
];

function steadyRow(law: WorkLaw, utilisation: number): Row {
  const [mean, p99] = law === 'exponential' ? [1.1, 1.05] : [1.2, 1.15];
  return row(steady(law, utilisation), mean, law === 'bimodal' && utilisation === 0.7 ? 1.5 : p99);
}

function fault(scenario: Scenario): Row {
  return row(scenario, 1.25, 1.15);
}

function row(scenario: Scenario, mean: number, p99: number, setup: Setup = 'gateway'): Row {
  return { scenario, setup, against: 'omniscient', mean, p99 };
}

function during(kind: Fault['kind']): Fault {
  return { node: 6, kind, from: 0.4, until: 0.7 };
}

function absentUntil(node: number): Fault {
  return { node, kind: 'absent', from: 0, until: 0.4 };
}
