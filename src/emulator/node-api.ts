import { randomUUID } from 'node:crypto';
import { jsonElements, type JsonSlice } from '../protocol/raw-json.js';
import { refusal } from './admission.js';
import type { VersionTraits } from './api-version.js';
import type { Container } from './containers.js';
import type { Faults } from './faults.js';
import type { JobRunner, StreamEnd, StreamSink } from './job-runner.js';
import { NOT_SERIALIZABLE, type Chain } from './chain.js';
import type { DelegatedRequest } from './delegated-request.js';
import { jobRequest, parsedBody, statusRequest, type JobRequest } from './job-request.js';
import type { JobStore } from './job-store.js';
import { MalformedRequest } from './malformed-request.js';
import { errorObject, errorReply, htmlReply, jsonReply, jsonString, type Reply } from './reply.js';
import type { Endpoint } from './routes.js';

/** A request to one of the endpoints. `body` is undefined when it exceeded the limit. */
export interface ApiRequest {
  readonly endpoint: Endpoint;
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly contentType: string;
  readonly body: Buffer | undefined;
  readonly peer: string;
}

/** A 200 whose body is written as it comes into being; the first chunk is the job's id. */
export interface StreamReply {
  stream(sink: StreamSink): Promise<StreamEnd>;
}

/** What the endpoints work with; every member belongs to the same node. */
export interface ApiParts {
  readonly version: string;
  readonly traits: VersionTraits;
  readonly chain: Chain;
  readonly containers: ReadonlyMap<string, Container>;
  readonly allowedAddresses: Readonly<Record<string, readonly string[]>>;
  readonly store: JobStore;
  readonly runner: JobRunner;
  readonly faults: Faults;
}

const TOO_LARGE = '413 Request Entity Too Large: The data value transmitted exceeds the capacity limit.';
const REDIS_DOWN = 'Error 111 connecting to redis:6379. Connection refused.';

/** The node's endpoints: from a request to the answer that the reference node would give. */
export class NodeApi {
  constructor(readonly parts: ApiParts) {}

  answer(request: ApiRequest): Reply | StreamReply {
    const { endpoint, method, path } = request;
    const redisIsDown =
      endpoint !== 'health' &&
      endpoint !== 'resources' &&
      !endpoint.startsWith('chain_') &&
      this.parts.faults.strikesRequest('redisLess', method, path) !== undefined;
    switch (endpoint) {
      case 'health':
        return jsonReply(200, '{"status":"healthy"}');
      case 'info':
        return redisIsDown ? htmlReply(500) : this.#info();
      case 'resources':
        return this.#resources(request.query.get('model_id'));
      case 'chain_enabled':
        return jsonReply(200, `{"enabled":${this.parts.chain.address !== undefined}}`);
      case 'chain_address':
        return jsonReply(200, `{"address":${jsonString(this.parts.chain.address ?? '')}}`);
      case 'get_job':
        return redisIsDown ? htmlReply(500) : this.#rows(request);
      case 'create_job':
        return this.#submit(request, redisIsDown);
      case 'create_job_batch':
        return this.#submitBatch(request, redisIsDown);
      case 'create_job_stream':
        return this.#stream(request, redisIsDown);
      case 'store_job_status':
        return this.#storeStatus(request, redisIsDown);
    }
  }

  #info(): Reply {
    const { version, traits, containers, store } = this.parts;
    const offered = [...containers.values()].map(({ description, external, id, image }) =>
      JSON.stringify({ description, external, id, image }),
    );
    const { address } = this.parts.chain;
    const chain = `"chain":{"address":${jsonString(address ?? '')},"enabled":${address !== undefined}}`;
    const common = `"containers":[${offered.join(',')}],"pending":{"offchain":${store.pendingCount},"onchain":0}`;
    if (!traits.tellsVersion) return jsonReply(200, `{${common}}`);
    return jsonReply(200, `{${chain},${common},"version":${jsonString(version)}}`);
  }

  #resources(modelId: string | null): Reply {
    const ids = [...this.parts.containers.keys()].sort();
    const entries = ids.map((id) => {
      const models = this.parts.containers.get(id)?.models ?? [];
      const resources =
        modelId === null
          ? `{"compute_capability":[{"cached_models":${JSON.stringify(models)},"id":"ml","models":[],"type":"emulated"}],"service_id":${jsonString(id)}}`
          : `{"supported":${models.includes(modelId)}}`;
      return `${jsonString(id)}:${resources}`;
    });
    return jsonReply(200, `{${entries.join(',')}}`);
  }

  #rows({ query, peer }: ApiRequest): Reply {
    const { store } = this.parts;
    const ids = query.getAll('id');
    if (ids.length > 0) return jsonReply(200, store.rows(peer, ids, query.get('intermediate') === 'true'));
    const pending = query.get('pending');
    const which = pending === 'true' ? 'pending' : pending === 'false' ? 'completed' : 'both';
    return jsonReply(200, `[${store.ids(peer, which).map(jsonString).join(',')}]`);
  }

  #submit(request: ApiRequest, redisIsDown: boolean): Reply {
    const job = this.#admitted(request);
    if ('status' in job) return job;
    if (job.kind === 'delegated') {
      const verdict = this.parts.chain.subscribe(job, Date.now());
      if (verdict.kind === 'broken') return this.#failed(verdict.text);
      if (verdict.kind === 'refused') return errorReply(405, verdict.refusal.error, verdict.refusal.params);
      return jsonReply(200, this.parts.traits.givesIdsToSubscriptions ? `{"id":"${randomUUID()}"}` : '{}');
    }
    if (!redisIsDown) this.parts.runner.start(job);
    return jsonReply(200, `{"id":${jsonString(job.id)}}`);
  }

  #stream(request: ApiRequest, redisIsDown: boolean): Reply | StreamReply {
    const job = this.#admitted(request);
    if ('status' in job) return job;
    if (job.kind === 'delegated') {
      if (this.parts.chain.address === undefined) return this.#failed(NOT_SERIALIZABLE);
      return errorReply(405, 'Streaming only supported for OffchainJob requests.');
    }
    return {
      stream: async (sink) => {
        sink.write(Buffer.from(`${job.id}\n`));
        return redisIsDown ? 'cut' : this.parts.runner.stream(job, sink);
      },
    };
  }

  /** A single job that passed every check, or the reply that refuses it. */
  #admitted(request: ApiRequest): JobRequest | DelegatedRequest | Reply {
    const { traits } = this.parts;
    const failed = (text: string): Reply => this.#failed(text);
    if (request.body === undefined) return { ...failed(TOO_LARGE), closes: true };
    if (traits.checksContentType && !isJsonType(request.contentType))
      return failed("'NoneType' object is not a mapping");
    try {
      const job = this.#read(request.body, parsedBody(request.body), request.peer);
      if (job.kind === 'delegated') return job;
      const refused = this.#refusal(job);
      return refused === undefined ? job : errorReply(405, refused.error, refused.params);
    } catch (error) {
      return failed(malformation(error));
    }
  }

  #submitBatch({ body, peer }: ApiRequest, redisIsDown: boolean): Reply {
    const failed = (text: string): Reply => errorReply(500, `Could not enqueue job:  ${text}`);
    if (body === undefined) return { ...failed(TOO_LARGE), closes: true };
    try {
      const list = parsedBody(body);
      if (list.kind !== 'array') return errorReply(400, 'Expected a list');
      const messages = jsonElements(body, list).map((item) => this.#read(body, item, peer));
      let broken: string | undefined;
      const items = messages.flatMap((message) => {
        if (message.kind === 'delegated') {
          const verdict = this.parts.chain.subscribe(message, Date.now());
          if (verdict.kind === 'broken') broken ??= verdict.text;
          if (verdict.kind === 'refused') return [errorObject(verdict.refusal.error, verdict.refusal.params)];
          // The version that answers a single one with an id leaves it out of a batch's answer.
          return this.parts.traits.givesIdsToSubscriptions ? [] : ['{}'];
        }
        const refused = this.#refusal(message);
        if (refused !== undefined) return [errorObject(refused.error, refused.params)];
        if (!redisIsDown) this.parts.runner.start(message);
        return [`{"id":${jsonString(message.id)}}`];
      });
      // Too late: the other jobs run by now, and nobody has their ids.
      return broken === undefined ? jsonReply(200, `[${items.join(',')}]`) : failed(broken);
    } catch (error) {
      return failed(malformation(error));
    }
  }

  #storeStatus({ body, peer }: ApiRequest, redisIsDown: boolean): Reply {
    if (!this.parts.traits.statusFrom.test(peer)) return errorReply(403, 'Unauthorized');
    const failed = errorReply(500, 'Could not store job status');
    if (body === undefined) return { ...failed, closes: true };
    if (redisIsDown) return failed;
    try {
      const { id, status } = statusRequest(body);
      if (status === 'running') this.parts.store.setRunning({ ip: peer, id });
      else if (status === 'success' || status === 'failed') {
        this.parts.store.setFinished({ ip: peer, id }, status, []);
      } else return errorReply(400, 'Status is invalid');
      return jsonReply(200, 'null');
    } catch (error) {
      malformation(error);
      return failed;
    }
  }

  #read(body: Buffer, message: JsonSlice, peer: string): JobRequest | DelegatedRequest {
    return jobRequest(body, message, { peer, subscriptions: this.parts.traits.subscriptions });
  }

  /** The answer to a single submission that ended in an error. */
  #failed(text: string): Reply {
    const prefix = this.parts.traits.checksContentType ? 'Internal server error' : 'Could not enqueue job';
    return errorReply(500, `${prefix}: ${text}`);
  }

  #refusal(job: JobRequest): ReturnType<typeof refusal> {
    const heeded = this.parts.traits.proves ? job : { ...job, requiresProof: false };
    return refusal(heeded, this.parts.containers, this.parts.allowedAddresses);
  }
}

/** The 500 reply of the `error500Json` fault. */
export function faultyJsonReply(): Reply {
  return errorReply(500, `Could not enqueue job: ${REDIS_DOWN}`);
}

function isJsonType(contentType: string): boolean {
  const [type = ''] = contentType.split(';');
  return /^application\/(json|.*\+json)$/i.test(type.trim());
}

/** The text of a malformed body's error; any other error is a defect of the emulator and goes on. */
function malformation(error: unknown): string {
  if (error instanceof MalformedRequest) return error.message;
  throw error;
}
