import inspector from 'node:inspector';
import { readdirSync, readlinkSync, writeFileSync } from 'node:fs';
import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import v8 from 'node:v8';
import vm from 'node:vm';
import { isMainThread } from 'node:worker_threads';

/**
 * Looks at a process from inside. `Child` loads this into the program that it starts (`--import`), before the program's
 * own first line, and asks over the IPC channel. Nothing runs here before the first question, and the program does not
 * know. The file is given over as text, so it may import nothing but Node's own modules.
 */

/** What the process has used since it started, or since the first look where it says so, and how it stands now. */
export interface Look {
  /** When this was, in ms of the machine's monotonic clock. */
  readonly atMs: number;
  /** Processor time of all threads, user and system, in µs. */
  readonly cpuUs: number;
  /** Time in which the event loop was not idle, in ms. */
  readonly busyMs: number;
  /**
   * Bytes allocated on V8's heap since the first look: growth, plus what each collection took away. Buffers are outside
   * of that heap and count with their handles alone.
   */
  readonly allocatedBytes: number;
  /** Garbage collections since the first look, and how long they kept the program waiting, in µs. */
  readonly collections: number;
  readonly collectingUs: number;
  readonly rssBytes: number;
  readonly heapUsedBytes: number;
  /** Buffers and other memory that objects on the heap hold outside of it. */
  readonly externalBytes: number;
  /** How late a timer of 10 ms fires, since the look before this one, in ms; 0 at the first look. */
  readonly delayMs: { readonly p50: number; readonly p99: number; readonly max: number };
  /** Sockets that are open, listening ones and those to the database included; NaN where the system does not tell. */
  readonly sockets: number;
}

/** What a profile samples: the stack of the processor, or what is allocated, garbage included. */
export type ProfileKind = 'cpu' | 'allocations';

/** What can be asked. */
export type Question =
  /** With `collect` after a full garbage collection, so that `heapUsedBytes` is what is really held. */
  | { readonly ask: 'look'; readonly collect: boolean }
  | { readonly ask: 'startProfile'; readonly kind: ProfileKind }
  /** Writes the profile, as Chrome's developer tools open it. */
  | { readonly ask: 'stopProfile'; readonly kind: ProfileKind; readonly path: string };

export interface Asked {
  readonly number: number;
  readonly question: Question;
}

export interface Answered {
  readonly number: number;
  readonly look?: Look;
  readonly error?: string;
}

const DELAY_RESOLUTION_MS = 10;
const CPU_SAMPLE_US = 250;
const ALLOCATION_SAMPLE_BYTES = 8_192;

/** Counts what is allocated, from V8's statistics before and after each collection. */
class Allocations {
  private profiler: v8.GCProfiler | undefined;
  private heapBytes = 0;
  total = 0;
  collections = 0;
  collectingUs = 0;

  count(): void {
    const { used_heap_size: usedBytes } = v8.getHeapStatistics();
    const seen = this.profiler?.stop();
    if (seen !== undefined) {
      this.total += usedBytes - this.heapBytes;
      for (const { beforeGC, afterGC, cost } of seen.statistics) {
        this.total += beforeGC.heapStatistics.usedHeapSize - afterGC.heapStatistics.usedHeapSize;
        this.collections += 1;
        this.collectingUs += cost;
      }
    }
    this.profiler = new v8.GCProfiler();
    this.profiler.start();
    this.heapBytes = v8.getHeapStatistics().used_heap_size;
  }
}

const allocations = new Allocations();
const delay = monitorEventLoopDelay({ resolution: DELAY_RESOLUTION_MS });
let looked = false;

function look(): Look {
  allocations.count();
  const { user, system } = process.cpuUsage();
  const { rss, heapUsed, external } = process.memoryUsage();
  // The histogram holds the whole time from one firing to the next.
  const lateMs = (ns: number): number => (looked ? Math.max(0, ns / 1e6 - DELAY_RESOLUTION_MS) : 0);
  const seen: Look = {
    atMs: Number(process.hrtime.bigint()) / 1e6,
    cpuUs: user + system,
    busyMs: performance.eventLoopUtilization().active,
    allocatedBytes: allocations.total,
    collections: allocations.collections,
    collectingUs: allocations.collectingUs,
    rssBytes: rss,
    heapUsedBytes: heapUsed,
    externalBytes: external,
    delayMs: { p50: lateMs(delay.percentile(50)), p99: lateMs(delay.percentile(99)), max: lateMs(delay.max) },
    sockets: sockets(),
  };
  delay.reset();
  if (!looked) delay.enable();
  looked = true;
  return seen;
}

function sockets(): number {
  const isSocket = (descriptor: string): boolean => {
    try {
      return readlinkSync(`/proc/self/fd/${descriptor}`).startsWith('socket:');
    } catch {
      return false; // The one that listed them.
    }
  };
  try {
    return readdirSync('/proc/self/fd').filter(isSocket).length;
  } catch {
    return NaN;
  }
}

function collectGarbage(): void {
  v8.setFlagsFromString('--expose-gc');
  const collect = vm.runInNewContext('gc') as () => void;
  // Finalisers that the first one queued hold on to what the second one takes.
  collect();
  collect();
}

let session: inspector.Session | undefined;

function tell(method: string, parameters: object = {}): Promise<object | undefined> {
  const to = (session ??= new inspector.Session());
  return new Promise((resolve, reject) => {
    to.post(method, parameters, (error, result?: object) =>
      error === null ? resolve(result) : reject(error),
    );
  });
}

async function startProfile(kind: ProfileKind): Promise<void> {
  session ??= new inspector.Session();
  session.connect();
  if (kind === 'cpu') {
    await tell('Profiler.enable');
    await tell('Profiler.setSamplingInterval', { interval: CPU_SAMPLE_US });
    await tell('Profiler.start');
  } else {
    await tell('HeapProfiler.startSampling', {
      samplingInterval: ALLOCATION_SAMPLE_BYTES,
      includeObjectsCollectedByMajorGC: true,
      includeObjectsCollectedByMinorGC: true,
    });
  }
}

async function stopProfile(kind: ProfileKind, path: string): Promise<void> {
  const stopped = await tell(kind === 'cpu' ? 'Profiler.stop' : 'HeapProfiler.stopSampling');
  session?.disconnect();
  session = undefined;
  writeFileSync(path, JSON.stringify((stopped as { profile: object }).profile));
}

async function answer({ number, question }: Asked): Promise<Answered> {
  try {
    switch (question.ask) {
      case 'look':
        if (question.collect) collectGarbage();
        return { number, look: look() };
      case 'startProfile':
        await startProfile(question.kind);
        return { number };
      case 'stopProfile':
        await stopProfile(question.kind, question.path);
        return { number };
    }
  } catch (error) {
    return { number, error: String(error) };
  }
}

if (isMainThread && process.send !== undefined) {
  process.on('message', (asked: Asked) => void answer(asked).then((answered) => process.send?.(answered)));
  // The program ends when it wants to.
  process.channel?.unref();
}
