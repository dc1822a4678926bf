import type { IncomingHttpHeaders } from 'node:http';

/** One request as it came in. `path` includes the query, `body` is the exact bytes, `at` is epoch ms. */
export interface ReceivedRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  readonly at: number;
}

const MAX_REQUESTS = 10_000;
/** Large bodies would otherwise pile up: 10,000 of the allowed size are 160 GiB. */
const MAX_BODY_BYTES = 512 * 1024 * 1024;

/** The last 10,000 requests, or fewer when their bodies exceed 512 MiB together. */
export class RequestLog {
  #entries: ReceivedRequest[] = [];
  #first = 0;
  #bodyBytes = 0;

  record(request: ReceivedRequest): void {
    this.#entries.push(request);
    this.#bodyBytes += request.body.length;
    while (this.#entries.length - this.#first > MAX_REQUESTS || this.#bodyBytes > MAX_BODY_BYTES) {
      this.#bodyBytes -= this.#entries[this.#first]?.body.length ?? 0;
      this.#first += 1;
    }
    if (this.#first > MAX_REQUESTS) {
      this.#entries = this.#entries.slice(this.#first);
      this.#first = 0;
    }
  }

  /** Oldest first. */
  get requests(): ReceivedRequest[] {
    return this.#entries.slice(this.#first);
  }
}
