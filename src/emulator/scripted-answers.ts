import type { Reply } from './reply.js';

/** Status and content type of a scripted reply; 200 and `application/json` unless told otherwise. */
export interface ScriptedReplyHead {
  readonly status?: number;
  readonly contentType?: string;
}

/** Exact bytes that take the place of what the node would have said, to judge byte fidelity with. */
export class ScriptedAnswers {
  readonly #outputs = new Map<string, Buffer>();
  readonly #replies = new Map<string, Reply>();

  /**
   * @param target a route (`GET /api/jobs`: its whole reply), a container id or a job id (its output)
   * @param bytes what to answer; undefined ends the script
   */
  script(target: string, bytes: Buffer | string | undefined, head: ScriptedReplyHead = {}): void {
    const isRoute = /^[A-Z]+ \//.test(target);
    if (bytes === undefined) {
      this.#outputs.delete(target);
      this.#replies.delete(target);
      return;
    }
    const body = typeof bytes === 'string' ? Buffer.from(bytes) : bytes;
    if (!isRoute) {
      this.#outputs.set(target, body);
      return;
    }
    this.#replies.set(target, {
      status: head.status ?? 200,
      contentType: head.contentType ?? 'application/json',
      body,
    });
  }

  /** The output of one execution; what is scripted for the job precedes what is scripted for the container. */
  output(jobId: string, container: string): Buffer | undefined {
    return this.#outputs.get(jobId) ?? this.#outputs.get(container);
  }

  /** The reply of a route; the request is carried out nevertheless. */
  reply(method: string, path: string): Reply | undefined {
    return this.#replies.get(`${method} ${path}`);
  }
}
