import { createHash } from 'node:crypto';
import { cannedEmbedding } from '../../src/emulator/canned-answers.js';
import type { Random } from './random.js';

/** A job to hand in. `data` is JSON text whose first member is the key, unique in the run. */
export interface Work {
  readonly key: string;
  readonly containers: readonly string[];
  readonly data: string;
}

/** Numbers that a JavaScript number cannot hold, and spellings that re-serialising would change. */
const DELICATE =
  '"big":115792089237316195423570985008687907853269984665640564039457584007913129639935,"f":1.0,"e":1e3';

const EMBEDDING = 'openai-inference-0.0.1';
const ALWAYS_FAILS = 'always-fails';

/** Draws a job: half of them echo, the others sleep, run a chain, fail, or ask for an embedding. */
export function drawWork(random: Random, key: string): Work {
  const dice = random.next();
  if (dice < 0.45) return { key, containers: ['echo'], data: `{"key":"${key}",${DELICATE}}` };
  if (dice < 0.8) {
    return { key, containers: ['delay'], data: `{"key":"${key}","ms":${random.between(20, 300)}}` };
  }
  if (dice < 0.92) return { key, containers: ['step-one', 'step-two'], data: `{"key":"${key}", "x": [1.0]}` };
  if (dice < 0.97) return { key, containers: [ALWAYS_FAILS], data: `{"key":"${key}"}` };
  const params = `{"endpoint":"embeddings","input":"${key}"}`;
  return { key, containers: [EMBEDDING], data: `{"key":"${key}","params":${params}}` };
}

/** The body that submits it. */
export function bodyOf(work: Work): string {
  return `{"containers":${JSON.stringify(work.containers)},"data":${work.data}}`;
}

/** Whether the container fails on every input, so that a failure is the right result. */
export function isMeantToFail(work: Work): boolean {
  return work.containers[0] === ALWAYS_FAILS;
}

/**
 * What is wrong with a terminal result, compared byte by byte with what the containers make of the input; undefined
 * when it is right. A failure is right when it names a container of the job and a reason.
 * @param result the bytes of the row's `result`, one character each
 */
export function flawOf(work: Work, status: 'success' | 'failed', result: string): string | undefined {
  if (status === 'failed')
    return failureReason(work, result) === undefined ? 'failed without a reason' : undefined;
  if (isMeantToFail(work)) return 'succeeded, although its container always fails';
  const last = work.containers.at(-1) ?? '';
  const head = `{"container":"${last}","output":`;
  if (!result.startsWith(head) || !result.endsWith('}'))
    return `result is not {"container":"${last}","output":…}`;
  const output = result.slice(head.length, -1);
  if (last === 'delay') return isDelayOutput(work, output) ? undefined : `output ${output.slice(0, 100)}`;
  const expected = outputOf(work);
  return output === expected
    ? undefined
    : `output ${output.slice(0, 100)}, expected ${expected.slice(0, 100)}`;
}

/** The error text of a failed row; undefined when there is none. */
export function failureReason(work: Work, result: string): string | undefined {
  try {
    const { container, error } = JSON.parse(Buffer.from(result, 'latin1').toString()) as Record<
      string,
      unknown
    >;
    const isOurs = typeof container === 'string' && work.containers.includes(container);
    return isOurs && typeof error === 'string' && error !== '' ? error : undefined;
  } catch {
    return undefined;
  }
}

/** Enough of a result to tell later whether it is still the same. */
export function fingerprint(status: string, result: string): string {
  return createHash('sha1').update(status).update(result, 'latin1').digest('base64');
}

function outputOf(work: Work): string {
  switch (work.containers[0] ?? '') {
    case 'echo':
      return work.data;
    case 'step-one':
      return `{"step":"two","input":{"step":"one","input":${work.data}}}`;
    default:
      return cannedEmbedding(Buffer.from(work.data)).toString('latin1');
  }
}

/** The node is whichever did the work. */
function isDelayOutput(work: Work, output: string): boolean {
  const ms = /"ms":(\d+)/.exec(work.data)?.[1];
  return new RegExp(`^\\{"slept_ms":${ms},"node":"chaos-node-\\d+"\\}$`).test(output);
}
