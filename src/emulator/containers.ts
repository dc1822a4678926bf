import {
  bytesOf,
  decoded,
  jsonMembers,
  JsonSyntaxError,
  jsonValue,
  type JsonSlice,
} from '../protocol/raw-json.js';
import { CANNED_COMPLETION, cannedEmbedding } from './canned-answers.js';
import type { ServiceTime } from './service-time.js';

/** What the pieces of `pieces` are made of. */
const PIECE_TEXT = 'stream. ';

/** What a container makes of its input: JSON bytes, or the error text of its failure. */
export type ContainerOutcome = { readonly output: Buffer } | { readonly error: string };

/** An emulated container: a pure function of its input's bytes, and how long it takes. */
export interface Container {
  readonly id: string;
  readonly description: string;
  /** Internal containers (false) may stand only behind another one in a chain. */
  readonly external: boolean;
  readonly image: string;
  readonly generatesProof: boolean;
  /** Models that `GET /resources?model_id=` reports as supported. */
  readonly models: readonly string[];
  readonly serviceMs: ServiceTime;
  /** A service time that the input asks for; undefined leaves it to the configured one. */
  requestedMs?(data: Buffer): number | undefined;
  run(data: Buffer, node: string, requestedMs: number | undefined): ContainerOutcome;
  /** Pieces in which a stream delivers the answer, evenly over its time; without it the output is one piece. */
  pieces?(data: Buffer): Buffer[];
}

const CATALOGUE: readonly Container[] = [
  container('echo', 'returns its input', { run: (data) => ({ output: data }) }),
  container('delay', 'sleeps for data.ms milliseconds or data.seconds seconds', {
    requestedMs: requestedDelayMs,
    run: (_data, node, ms) => ({
      output: Buffer.from(`{"slept_ms":${ms ?? 0},"node":${JSON.stringify(node)}}`),
    }),
  }),
  container('step-one', 'first half of a chain', { run: (data) => wrapped('one', data) }),
  container('step-two', 'second half of a chain', { run: (data) => wrapped('two', data) }),
  container('internal', 'only behind another container', {
    external: false,
    run: (data) => ({ output: data }),
  }),
  container('prover', 'returns its input with a proof', {
    generatesProof: true,
    run: (data) => ({
      output: Buffer.concat([Buffer.from('{"output":'), data, Buffer.from(',"proof":"0x00"}')]),
    }),
  }),
  container('always-fails', 'fails on every input', {
    run: () => ({ error: 'ValueError: this container always fails' }),
  }),
  container('openai-inference-0.0.1', 'OpenAI inference', {
    models: ['gpt-3.5-turbo-16k', 'text-embedding-3-small'],
    serviceMs: 200,
    run: (data) => ({
      output: asksForEmbedding(data) ? cannedEmbedding(data) : Buffer.from(JSON.stringify(CANNED_COMPLETION)),
    }),
  }),
  container('openai-inference-streaming-0.0.1', 'OpenAI inference, streamed', {
    models: ['gpt-3.5-turbo-16k'],
    serviceMs: 400,
    run: () => ({ output: Buffer.from(JSON.stringify(CANNED_COMPLETION)) }),
    pieces: () => CANNED_COMPLETION.split(/(?<= )/).map((word) => Buffer.from(word)),
  }),
  container('pieces', 'streams data.count pieces of data.size bytes, one every data.interval_ms', {
    requestedMs: (data) => {
      const { count, intervalMs, failAfter } = requestedPieces(data);
      return Math.min(count, failAfter ?? count) * intervalMs;
    },
    run: (data) => {
      const { count, size, failAfter } = requestedPieces(data);
      if (failAfter !== undefined) return { error: `RuntimeError: broke after ${failAfter} pieces` };
      return { output: Buffer.from(JSON.stringify(PIECE_TEXT.repeat(size).slice(0, count * size))) };
    },
    pieces: (data) => {
      const { count, size, failAfter } = requestedPieces(data);
      const piece = Buffer.alloc(size, PIECE_TEXT);
      return Array<Buffer>(Math.min(count, failAfter ?? count)).fill(piece);
    },
  }),
];

/** The ids of all containers that an emulated node can offer. */
export const CONTAINER_IDS: readonly string[] = CATALOGUE.map(({ id }) => id);

/**
 * The containers with the given ids, in that order.
 * @throws RangeError for an id that no emulated container has
 */
export function containersById(ids: readonly string[]): Map<string, Container> {
  return new Map(
    ids.map((id) => {
      const found = CATALOGUE.find((candidate) => candidate.id === id);
      if (found === undefined) {
        throw new RangeError(`unknown container "${id}"; there are ${CONTAINER_IDS.join(', ')}`);
      }
      return [id, found];
    }),
  );
}

function container(
  id: string,
  description: string,
  own: Partial<Container> & Pick<Container, 'run'>,
): Container {
  const image = `infernet-gateway/emulated-${id}:latest`;
  return { id, description, image, external: true, generatesProof: false, models: [], serviceMs: 0, ...own };
}

function wrapped(step: string, data: Buffer): ContainerOutcome {
  return { output: Buffer.concat([Buffer.from(`{"step":"${step}","input":`), data, Buffer.from('}')]) };
}

function requestedDelayMs(data: Buffer): number | undefined {
  const members = membersOf(data);
  const ms = positiveNumber(data, members.get('ms'));
  const seconds = positiveNumber(data, members.get('seconds'));
  return ms ?? (seconds === undefined ? undefined : seconds * 1000);
}

/** Default: 10 pieces of 8 bytes at once. With `fail_after` the container breaks when it has sent so many. */
function requestedPieces(data: Buffer): {
  count: number;
  size: number;
  intervalMs: number;
  failAfter: number | undefined;
} {
  const members = membersOf(data);
  return {
    count: Math.trunc(positiveNumber(data, members.get('count')) ?? 10),
    size: Math.max(1, Math.trunc(positiveNumber(data, members.get('size')) ?? 8)),
    intervalMs: positiveNumber(data, members.get('interval_ms')) ?? 0,
    failAfter: positiveNumber(data, members.get('fail_after')),
  };
}

function asksForEmbedding(data: Buffer): boolean {
  const params = membersOf(data).get('params');
  if (params?.kind !== 'object') return false;
  const endpoint = jsonMembers(data, params).get('endpoint');
  return endpoint?.kind === 'string' && decoded(data, endpoint) === 'embeddings';
}

/** In a chain the input may be any JSON value, not only an object. */
function membersOf(data: Buffer): Map<string, JsonSlice> {
  try {
    const value = jsonValue(data);
    if (value.kind === 'object') return jsonMembers(data, value);
  } catch (error) {
    // A scripted output ahead in the chain need not be JSON.
    if (!(error instanceof JsonSyntaxError)) throw error;
  }
  return new Map();
}

function positiveNumber(data: Buffer, slice: JsonSlice | undefined): number | undefined {
  if (slice?.kind !== 'number') return undefined;
  const number = Number(bytesOf(data, slice).toString());
  return Number.isFinite(number) && number >= 0 ? number : undefined;
}
