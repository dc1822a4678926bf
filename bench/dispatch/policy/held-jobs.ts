import { ArrivalQueue } from '../../../src/dispatch/arrival-queue.js';
import { kindKey, type Kind } from './kind.js';

/** What a job needs of a node. */
export interface JobNeeds {
  readonly id: string;
  readonly containers: readonly string[];
  /** Nodes that have refused this job; it is not offered to them again. */
  readonly avoid?: readonly string[] | undefined;
}

/** Held jobs that need the same and avoid the same nodes, in order of arrival. */
export interface JobClass {
  readonly key: string;
  readonly kind: Kind;
  readonly avoid: readonly string[];
  readonly queue: ArrivalQueue;
  /** Since when its first job has been first. */
  firstSinceMs: number;
  /** Until when that one is made to wait for something better. */
  heldUntilMs: number;
}

/** Jobs that wait in the gateway, by what they need. */
export class HeldJobs {
  private readonly classes = new Map<string, JobClass>();
  /** By first container: those compete for the same nodes. */
  private readonly pressure = new Map<string, number>();
  private total = 0;

  get count(): number {
    return this.total;
  }

  /** The classes in which jobs wait. */
  all(): Iterable<JobClass> {
    return this.classes.values();
  }

  /** Jobs that wait for the nodes that this kind would use. */
  pressureOn({ containers }: Kind): number {
    return this.pressure.get(containers[0] ?? '') ?? 0;
  }

  add(kind: Kind, { id, avoid = [] }: JobNeeds, nowMs: number): void {
    const key = classKey(kind.key, avoid);
    let jobClass = this.classes.get(key);
    if (jobClass === undefined) {
      jobClass = { key, kind, avoid, queue: new ArrivalQueue(), firstSinceMs: nowMs, heldUntilMs: 0 };
      this.classes.set(key, jobClass);
    }
    if (jobClass.queue.add(id)) this.change(jobClass, 1);
  }

  remove({ id, containers, avoid = [] }: JobNeeds): void {
    const jobClass = this.classes.get(classKey(kindKey(containers), avoid));
    if (jobClass?.queue.remove(id) === true) this.change(jobClass, -1);
  }

  /** Takes the first job out of its class. */
  takeFirst(jobClass: JobClass, nowMs: number): string | undefined {
    const id = jobClass.queue.shift();
    if (id === undefined) return undefined;
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
    this.total += by;
    kind.held += by;
    if (queue.length === 0) this.classes.delete(key);
  }
}

function classKey(kind: string, avoid: readonly string[]): string {
  return avoid.length === 0 ? kind : JSON.stringify([kind, avoid]);
}

/** The class whose first job came first. */
export function indexOfOldest(classes: readonly JobClass[]): number {
  let oldest = 0;
  let first = classes[0]?.queue.first ?? '';
  for (let index = 1; index < classes.length; index += 1) {
    const other = classes[index]?.queue.first ?? '';
    if (other >= first) continue;
    oldest = index;
    first = other;
  }
  return oldest;
}
