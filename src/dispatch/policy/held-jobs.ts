import type { NodeFeature } from '../../protocol/node-info.js';
import { ArrivalQueue } from './arrival-queue.js';
import type { Kind } from './kind.js';
import type { JobNeeds } from './placement.js';

/** Held jobs that need the same of the same nodes, in order of arrival. */
export interface JobClass {
  readonly key: string;
  readonly kind: Kind;
  readonly features: readonly NodeFeature[];
  readonly avoid: readonly string[];
  readonly shun: readonly string[];
  readonly urgent: boolean;
  readonly queue: ArrivalQueue;
  /** Since when its first job has been first. */
  firstSinceMs: number;
  /** Until when that one is made to wait for something better. */
  heldUntilMs: number;
}

/** Jobs that wait in the gateway, by what they need. */
export class HeldJobs {
  private readonly classes = new Map<string, JobClass>();
  private readonly classOf = new Map<string, JobClass>();
  /** By first container: those compete for the same nodes. */
  private readonly pressure = new Map<string, number>();

  get count(): number {
    return this.classOf.size;
  }

  /** The classes in which jobs wait. */
  all(): Iterable<JobClass> {
    return this.classes.values();
  }

  /** Jobs that wait for the nodes that this kind would use. */
  pressureOn({ containers }: Kind): number {
    return this.pressure.get(containers[0] ?? '') ?? 0;
  }

  /** A job that is held already stays away from the same nodes, and from those that are named now: more may have refused it. */
  add(kind: Kind, job: JobNeeds, nowMs: number): void {
    const { id, features = [], urgent = false } = job;
    const before = this.classOf.get(id);
    const avoid = union(before?.avoid, job.avoid);
    const shun = union(before?.shun, job.shun);
    const key = classKey(kind.key, { features, avoid, shun, urgent });
    if (before?.key === key) return;
    if (before !== undefined) this.remove(id);
    let jobClass = this.classes.get(key);
    if (jobClass === undefined) {
      const queue = new ArrivalQueue();
      jobClass = { key, kind, features, avoid, shun, urgent, queue, firstSinceMs: nowMs, heldUntilMs: 0 };
      this.classes.set(key, jobClass);
    }
    jobClass.queue.add(id);
    this.classOf.set(id, jobClass);
    this.change(jobClass, 1);
  }

  remove(id: string): void {
    const jobClass = this.classOf.get(id);
    if (jobClass === undefined) return;
    jobClass.queue.remove(id);
    this.classOf.delete(id);
    this.change(jobClass, -1);
  }

  /** Takes the first job out of its class. */
  takeFirst(jobClass: JobClass, nowMs: number): string | undefined {
    const id = jobClass.queue.shift();
    if (id === undefined) return undefined;
    this.classOf.delete(id);
    jobClass.firstSinceMs = nowMs;
    jobClass.heldUntilMs = 0;
    this.change(jobClass, -1);
    return id;
  }

  private change(jobClass: JobClass, by: 1 | -1): void {
    const { kind, key, queue } = jobClass;
    const first = kind.containers[0] ?? '';
    const pressure = (this.pressure.get(first) ?? 0) + by;
    if (pressure > 0) this.pressure.set(first, pressure);
    else this.pressure.delete(first);
    kind.held += by;
    if (queue.length === 0) this.classes.delete(key);
  }
}

const NONE: readonly string[] = [];

function union(before = NONE, more = NONE): readonly string[] {
  const added = more.filter((id) => !before.includes(id));
  return added.length === 0 ? before : [...before, ...added];
}

function classKey(
  kind: string,
  { features, avoid, shun, urgent }: Pick<JobClass, 'features' | 'avoid' | 'shun' | 'urgent'>,
): string {
  const isPlain = features.length + avoid.length + shun.length === 0 && !urgent;
  return isPlain ? kind : JSON.stringify([kind, features, avoid, shun, urgent]);
}

/** The class whose first job is to go next: urgent ones before others, then the one that came first. */
export function indexOfNext(classes: readonly JobClass[]): number {
  let next = 0;
  classes.forEach((one, index) => {
    if (goesBefore(one, classes[next] as JobClass)) next = index;
  });
  return next;
}

function goesBefore(one: JobClass, other: JobClass): boolean {
  if (one.urgent !== other.urgent) return one.urgent;
  return (one.queue.first ?? '') < (other.queue.first ?? '');
}
