import type { Agenda } from './agenda.js';

/** How a node's containers share it out: each of the first `slots` jobs alone, or all jobs an equal part. */
export type Discipline = 'fifo' | 'sharing';

/** A job as a node has it. */
export interface NodeJob {
  readonly work: number;
  /** What the node's clock must show for the job to be done. */
  doneAt: number;
  readonly onDone: (ok: boolean) => void;
}

/** A container that fails at once takes this long to say so, in ms. */
const FAILS_AFTER_MS = 5;

/**
 * A node under virtual time. It keeps a clock of its own that shows how much work each job in service has been
 * given; a change of speed or of the number of jobs changes how fast that clock goes. Work is in ms at speed 1.
 */
export class SimulatedNode {
  /** Jobs in service, those that will be done first in front (a heap). */
  private readonly serving: NodeJob[] = [];
  private queue: NodeJob[] = [];
  private head = 0;
  private clock = 0;
  private clockReadAtMs = 0;
  private plan = 0;
  private speedNow: number;
  private failing = false;

  constructor(
    private readonly agenda: Agenda,
    readonly slots: number,
    readonly speed: number,
    private readonly discipline: Discipline = 'fifo',
  ) {
    this.speedNow = speed;
  }

  /** Speed at present; 0 while it hangs. */
  get currentSpeed(): number {
    return this.speedNow;
  }

  get fails(): boolean {
    return this.failing;
  }

  /** Everything unfinished on the node, as /info would count it. */
  get pending(): number {
    return this.serving.length + this.queue.length - this.head;
  }

  get freeSlots(): number {
    return this.slots - this.pending;
  }

  submit(work: number, onDone: (ok: boolean) => void): NodeJob {
    const job: NodeJob = { work, doneAt: Infinity, onDone };
    if (this.failing) {
      this.agenda.at(this.agenda.nowMs + FAILS_AFTER_MS, () => onDone(false));
      return job;
    }
    this.advance();
    if (this.serving.length < this.slots || this.discipline === 'sharing') this.serve(job);
    else this.queue.push(job);
    this.replan();
    return job;
  }

  /** From now on it works at this multiple of its speed: 0 means that it hangs. */
  setPace(factor: number): void {
    this.advance();
    this.speedNow = this.speed * factor;
    this.replan();
  }

  /** From now on every job fails within milliseconds; those that it has fail now. */
  setFailing(failing: boolean): void {
    this.failing = failing;
    if (!failing) return;
    for (const job of this.takeAll()) job.onDone(false);
  }

  /** Takes every job away from it. */
  takeAll(): NodeJob[] {
    this.advance();
    const jobs = [...this.serving, ...this.queue.slice(this.head)];
    this.serving.length = 0;
    this.queue = [];
    this.head = 0;
    this.replan();
    return jobs;
  }

  private get rate(): number {
    const shared = this.discipline === 'sharing' && this.serving.length > this.slots;
    return this.speedNow * (shared ? this.slots / this.serving.length : 1);
  }

  private advance(): void {
    const { nowMs } = this.agenda;
    this.clock += (nowMs - this.clockReadAtMs) * this.rate;
    this.clockReadAtMs = nowMs;
  }

  /** Enters the next end of a job into the agenda; what was planned before does not count any more. */
  private replan(): void {
    this.plan += 1;
    const first = this.serving[0];
    const { rate, plan } = this;
    if (first === undefined || rate === 0) return;
    const inMs = Math.max(0, (first.doneAt - this.clock) / rate);
    this.agenda.at(this.agenda.nowMs + inMs, () => {
      if (plan === this.plan) this.finishFirst();
    });
  }

  private finishFirst(): void {
    this.advance();
    const job = this.takeFirst();
    this.clock = job.doneAt;
    const next = this.queue[this.head];
    if (next !== undefined && this.serving.length < this.slots) {
      this.head += 1;
      if (this.head > 1_024 && this.head * 2 > this.queue.length) {
        this.queue = this.queue.slice(this.head);
        this.head = 0;
      }
      this.serve(next);
    }
    this.replan();
    job.onDone(true);
  }

  private serve(job: NodeJob): void {
    job.doneAt = this.clock + job.work;
    const heap = this.serving;
    let at = heap.length;
    heap.push(job);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent] as NodeJob;
      if (above.doneAt <= job.doneAt) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = job;
  }

  private takeFirst(): NodeJob {
    const heap = this.serving;
    const first = heap[0] as NodeJob;
    const last = heap.pop() as NodeJob;
    if (heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = at * 2 + 1;
      if (child >= heap.length) break;
      const right = heap[child + 1];
      if (right !== undefined && right.doneAt < (heap[child] as NodeJob).doneAt) child += 1;
      const below = heap[child] as NodeJob;
      if (below.doneAt >= last.doneAt) break;
      heap[at] = below;
      at = child;
    }
    heap[at] = last;
    return first;
  }
}
