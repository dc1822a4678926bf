/** Where and how often a fault strikes; without a member it is unlimited in that respect. */
export interface FaultScope {
  /** Only the next so many requests (or executions). */
  readonly times?: number;
  /** Only for so many milliseconds from now. */
  readonly forMs?: number;
  /** Only requests of this path, without query, e.g. `/api/jobs`. */
  readonly path?: string;
  /** Only requests of this method, e.g. `POST`. */
  readonly method?: string;
  /** Only executions of this container. */
  readonly container?: string;
}

/** `true` switches a fault on, `false` off; a scope switches it on within its limits. */
export type FaultSetting<Detail = unknown> = boolean | (FaultScope & Partial<Detail>);

/**
 * The faults of a node, all off at first.
 *
 * Submissions are POSTs to `/api/jobs`, `/api/jobs/batch` and `/api/jobs/stream`. The faults marked (s)
 * strike submissions only, unless their scope names a path or a method.
 */
export interface FaultSettings {
  /** The port is closed: connections are refused. Only `forMs` limits it; HTTP cannot switch it off. */
  refuse?: FaultSetting;
  /** Requests are accepted and never answered; submissions among them are not stored. */
  hang?: FaultSetting;
  /** The node stands still and goes on, late answers included, when the fault ends. Only `forMs` limits it. */
  frozen?: FaultSetting;
  /** (s) The connection is reset before anything is stored. */
  resetBeforeAccept?: FaultSetting;
  /** (s) The request is carried out, then the connection is reset instead of answered. */
  resetAfterAccept?: FaultSetting;
  /** (s) The request is carried out and never answered; with `close` the connection is closed instead. */
  loseAnswer?: FaultSetting<{ close: boolean }>;
  /** (s) 500 with a JSON error object; nothing runs. */
  error500Json?: FaultSetting;
  /** (s) 500 with an HTML page; nothing runs. */
  error500Html?: FaultSetting;
  /** Redis is down: submissions get ids of jobs that never run, `/info` and results an HTML 500. */
  redisLess?: FaultSetting;
  /** Containers fail within 5 ms, past the slots. `text` is their error (default a CUDA out of memory). */
  failFast?: FaultSetting<{ text: string }>;
  /** Containers take `factor` times as long (a bare number is the factor; default 10). */
  slow?: number | FaultSetting<{ factor: number }>;
  /** Containers answer with an HTTP error object, which the node reports as the output of a success. */
  falseSuccess?: FaultSetting;
  /** Jobs fail with an error text of the node itself: one of `INFRASTRUCTURE_ERRORS`, or any other text. */
  infrastructure?: string | FaultSetting<{ text: string }>;
  /** At once: all running rows are gone. Their executions go on and may still complete the job. */
  losePending?: boolean;
  /** At once: all completed rows are gone. */
  evictResults?: boolean;
}

export type FaultName = keyof FaultSettings;

/** Error texts of failures between node and container (docs/protocol.md §6.9), by a name for each. */
export const INFRASTRUCTURE_ERRORS: Readonly<Record<string, string>> = {
  'cannot-connect':
    "Cannot connect to host localhost:3000 ssl:default [Connect call failed ('127.0.0.1', 3000)]",
  'server-disconnected': 'Server disconnected',
  timeout: '',
  'payload-incomplete':
    "Response payload is not completed: <ContentLengthError: 400, message='Not enough data to satisfy content length header.'>",
};

const NAMES: readonly FaultName[] = [
  'refuse',
  'hang',
  'frozen',
  'resetBeforeAccept',
  'resetAfterAccept',
  'loseAnswer',
  'error500Json',
  'error500Html',
  'redisLess',
  'failFast',
  'slow',
  'falseSuccess',
  'infrastructure',
  'losePending',
  'evictResults',
];

/** Faults that strike submissions only, unless told otherwise. */
const OF_SUBMISSIONS: readonly FaultName[] = [
  'resetBeforeAccept',
  'resetAfterAccept',
  'loseAnswer',
  'error500Json',
  'error500Html',
];

/** A fault that is on. `times` counts down. */
export interface ActiveFault extends FaultScope {
  times?: number;
  readonly text?: string;
  readonly factor?: number;
  readonly close?: boolean;
}

/** What some faults do to the node at the moment they are switched. */
export interface FaultEffects {
  refuse(on: boolean): Promise<void>;
  losePending(): void;
  evictResults(): void;
}

/** The faults of one node, switchable at any time. */
export class Faults {
  readonly #active = new Map<FaultName, ActiveFault>();
  readonly #timers = new Map<FaultName, NodeJS.Timeout>();
  #thaw: { promise: Promise<void>; resolve: () => void } | undefined;

  constructor(readonly effects: FaultEffects) {}

  /** The faults that are on, with what is left of their `times`. */
  get active(): Readonly<Record<string, ActiveFault>> {
    return Object.fromEntries(this.#active);
  }

  /**
   * Switches the faults named, leaving the others as they are. Resolves when they are in effect.
   * @throws RangeError for a name that is no fault, or a setting that is none; nothing is switched then
   */
  async set(settings: FaultSettings): Promise<void> {
    for (const [name, fault] of activeFaults(settings)) await this.#switch(name, fault);
  }

  /** As `set`, and the faults not named are switched off. */
  async replace(settings: FaultSettings): Promise<void> {
    const faults = activeFaults(settings);
    await this.clear();
    for (const [name, fault] of faults) await this.#switch(name, fault);
  }

  /** Switches all faults off. */
  async clear(): Promise<void> {
    for (const name of this.#active.keys()) await this.#switch(name, undefined);
  }

  /** Whether a fault strikes this request; if so, one of its `times` is spent. */
  strikesRequest(name: FaultName, method: string, path: string): ActiveFault | undefined {
    const fault = this.#active.get(name);
    if (fault === undefined) return undefined;
    if (fault.path === undefined && fault.method === undefined && OF_SUBMISSIONS.includes(name)) {
      if (method !== 'POST') return undefined;
    }
    if ((fault.path ?? path) !== path || (fault.method ?? method) !== method) return undefined;
    return this.#spend(name, fault);
  }

  /** Whether a fault strikes this execution of a container; if so, one of its `times` is spent. */
  strikesExecution(name: FaultName, container: string): ActiveFault | undefined {
    const fault = this.#active.get(name);
    if (fault === undefined || (fault.container ?? container) !== container) return undefined;
    return this.#spend(name, fault);
  }

  /** Resolves when the node is not (or no longer) frozen; undefined when it is not, to cost nothing. */
  get thawed(): Promise<void> | undefined {
    return this.#thaw?.promise;
  }

  #spend(name: FaultName, fault: ActiveFault): ActiveFault {
    if (fault.times !== undefined) {
      fault.times -= 1;
      if (fault.times <= 0) this.#active.delete(name);
    }
    return fault;
  }

  async #switch(name: FaultName, fault: ActiveFault | undefined): Promise<void> {
    clearTimeout(this.#timers.get(name));
    this.#timers.delete(name);
    if (name === 'losePending' || name === 'evictResults') {
      if (fault !== undefined) this.effects[name]();
      return;
    }
    if (fault === undefined) this.#active.delete(name);
    else this.#active.set(name, fault);
    if (fault?.forMs !== undefined) {
      this.#timers.set(name, setTimeout(() => void this.#switch(name, undefined), fault.forMs).unref());
    }
    if (name === 'frozen') this.#freeze(fault !== undefined);
    if (name === 'refuse') await this.effects.refuse(fault !== undefined);
  }

  #freeze(on: boolean): void {
    if (on) {
      this.#thaw ??= withResolver();
      return;
    }
    this.#thaw?.resolve();
    this.#thaw = undefined;
  }
}

function withResolver(): { promise: Promise<void>; resolve: () => void } {
  let resolve = (): void => undefined;
  const promise = new Promise<void>((settle) => (resolve = settle));
  return { promise, resolve };
}

function isFaultName(name: string): name is FaultName {
  return (NAMES as readonly string[]).includes(name);
}

function activeFaults(settings: FaultSettings): [FaultName, ActiveFault | undefined][] {
  return Object.entries(settings).map(([name, setting]) => {
    if (!isFaultName(name)) throw new RangeError(`unknown fault "${name}"; there are ${NAMES.join(', ')}`);
    return [name, activeFault(name, setting)];
  });
}

function activeFault(name: FaultName, setting: unknown): ActiveFault | undefined {
  if (setting === undefined || setting === null || setting === false) return undefined;
  if (setting === true) return {};
  if (name === 'slow' && typeof setting === 'number') return { factor: setting };
  if (name === 'infrastructure' && typeof setting === 'string') return { text: setting };
  if (typeof setting !== 'object') throw new RangeError(`fault "${name}" takes true, false or a scope`);
  const fault: ActiveFault = { ...setting };
  return fault.times === 0 ? undefined : fault;
}
