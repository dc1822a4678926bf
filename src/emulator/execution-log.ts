import { closeSync, openSync, writeSync } from 'node:fs';

/**
 * How an execution ended: `lost` when the node restarted or died under it, `running` while it has not.
 */
export type ExecutionOutcome = 'running' | 'success' | 'failed' | 'lost';

/** One run of one container. Times are milliseconds since the epoch; `finishedAt` is null while it runs. */
export interface Execution {
  readonly jobId: string;
  readonly node: string;
  readonly container: string;
  readonly startedAt: number;
  finishedAt: number | null;
  outcome: ExecutionOutcome;
}

/**
 * Every container execution of a node, in order of their start. It outlives restarts of the node and,
 * with a file, the process: one JSON line is appended when an execution ends. Lines are written
 * synchronously, because a killed process must not take them along.
 */
export class ExecutionLog {
  readonly entries: Execution[] = [];
  #file: number | undefined;

  /**
   * @param onFinish called with each execution that has ended
   * @param path file to append to; without one the log is in memory only
   */
  constructor(
    readonly node: string,
    readonly onFinish: (execution: Execution) => void,
    path?: string,
  ) {
    this.#file = path === undefined ? undefined : openSync(path, 'a');
  }

  start(jobId: string, container: string): Execution {
    const execution: Execution = {
      jobId,
      node: this.node,
      container,
      startedAt: Date.now(),
      finishedAt: null,
      outcome: 'running',
    };
    this.entries.push(execution);
    return execution;
  }

  finish(execution: Execution, outcome: Exclude<ExecutionOutcome, 'running'>): void {
    execution.finishedAt = Date.now();
    execution.outcome = outcome;
    if (this.#file !== undefined) writeSync(this.#file, `${JSON.stringify(execution)}\n`);
    this.onFinish(execution);
  }

  /** Closes the file; what finishes afterwards is kept in memory only. */
  close(): void {
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
  }
}
