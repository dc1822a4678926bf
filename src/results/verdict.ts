import { isDeepStrictEqual } from 'node:util';
import type { ErrorPatterns } from '../config/settings.js';
import type { ResultRow } from '../protocol/result-rows.js';

/**
 * What a row that a node reports as ended really means. Nodes report failures of their own plumbing as failures of
 * the job, and errors of a service as successes (docs/protocol.md §6.9).
 */
export type Verdict =
  /** The job ended so. */
  | {
      readonly kind: 'final';
      readonly state: 'succeeded' | 'failed';
      /** A success that is none: how long it took says nothing about the node. */
      readonly disguised?: boolean;
    }
  /** Not the job's own end: it may go again. */
  | {
      readonly kind: 'retry';
      readonly reason: string;
      /** Whether the containers are left alone on this node for a while. */
      readonly blamesNode: boolean;
      /** How many failures the job may have in all, where that is fewer than usual. */
      readonly limit?: number;
      /** What is delivered once no attempts are left: the row as it is, or a failure of the gateway's. */
      readonly lastResort: 'as-it-is' | 'failure';
    };

/** Texts with which a node reports that it could not reach or use the container. */
const INFRASTRUCTURE = [
  /^Cannot connect to host /,
  /^Server disconnected/,
  /^Response payload is not completed/,
];

/** A longer output is no HTTP error object, and is not read. */
const ERROR_OBJECT_BYTES = 65_536;

/** @param row one that has ended */
export function verdictOf(row: ResultRow, containers: readonly string[], errorWhen: ErrorPatterns): Verdict {
  if (row.status === 'failed') return failureVerdict(row.result);
  if (row.result.length > ERROR_OBJECT_BYTES) return { kind: 'final', state: 'succeeded' };
  const result = parsed(row.result);
  const output = isObject(result) ? result['output'] : undefined;
  const pattern = errorWhen[containers.at(-1) ?? ''];
  if (isObject(output) && pattern !== undefined && includes(output, pattern)) {
    return disguised('the output is one that ERROR_WHEN names as an error');
  }
  const code = httpErrorCode(output);
  if (code !== undefined && code >= 500) return disguised(`the container answered HTTP ${code}`);
  return { kind: 'final', state: 'succeeded', ...(code === undefined ? {} : { disguised: true }) };
}

function failureVerdict(bytes: Buffer): Verdict {
  const result = bytes.length > ERROR_OBJECT_BYTES ? undefined : parsed(bytes);
  const error = isObject(result) ? result['error'] : undefined;
  // The node's own time limit for a container leaves no text; the job may just be long, so only one more try.
  if (error === '') {
    const reason = 'the container did not answer the node in time';
    return { kind: 'retry', reason, blamesNode: false, limit: 2, lastResort: 'failure' };
  }
  if (typeof error === 'string' && INFRASTRUCTURE.some((pattern) => pattern.test(error))) {
    return {
      kind: 'retry',
      reason: `the node could not use the container: ${error}`,
      blamesNode: true,
      lastResort: 'failure',
    };
  }
  return { kind: 'final', state: 'failed' };
}

function disguised(reason: string): Verdict {
  return { kind: 'retry', reason, blamesNode: true, lastResort: 'as-it-is' };
}

/** The code of exactly the object with which the reference services report HTTP errors. */
function httpErrorCode(output: unknown): number | undefined {
  if (!isObject(output) || Object.keys(output).sort().join() !== 'code,description,name') return undefined;
  // Lists become numbers too, and with them a depth of nesting would become one of the stack.
  if (typeof output['code'] !== 'number' && typeof output['code'] !== 'string') return undefined;
  const code = Number(output['code']);
  return Number.isInteger(code) && code >= 400 ? code : undefined;
}

/** Whether a value has everything that the pattern has, at any depth. It is looked into only as far as the pattern goes. */
function includes(value: unknown, pattern: unknown): boolean {
  if (!isObject(pattern)) return isDeepStrictEqual(value, pattern);
  return isObject(value) && Object.entries(pattern).every(([key, wanted]) => includes(value[key], wanted));
}

/** Undefined for what JavaScript cannot read, such as a bare NaN: no error object has one. */
function parsed(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString());
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
