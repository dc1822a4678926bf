import type { ChildProcess } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import type { Answered, Asked, Look, ProfileKind, Question } from './inside.js';

const ANSWER_LIMIT_MS = 60_000;

/** Node's arguments that load `inside.ts` into a program, which need not be able to read TypeScript. */
export function insideArguments(): string[] {
  const source = readFileSync(join(import.meta.dirname, 'inside.ts'), 'utf8');
  const { outputText } = ts.transpileModule(source, {
    compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext },
  });
  return ['--import', `data:text/javascript;base64,${Buffer.from(outputText).toString('base64')}`];
}

/** The view into a process that was started with `insideArguments` and an IPC channel. */
export class Insight {
  private asked = 0;

  constructor(private readonly child: ChildProcess) {}

  /**
   * How the process stands. The first look starts the counting of allocations and of the event loop's delay, so measure
   * from one look to the next.
   * @param collect first collects all garbage, so that `heapUsedBytes` is what is really held; takes the process a while
   * @throws Error when it has ended or does not answer
   */
  async look({ collect = false } = {}): Promise<Look> {
    const { look } = await this.ask({ ask: 'look', collect });
    return look as Look;
  }

  /** Samples the processor's stack, or allocations, from now on; what is measured meanwhile is a little slower. */
  async startProfile(kind: ProfileKind): Promise<void> {
    await this.ask({ ask: 'startProfile', kind });
  }

  /** Ends that and writes it to a file, `….cpuprofile` or `….heapprofile`, which Chrome's developer tools open. */
  async stopProfile(kind: ProfileKind, path: string): Promise<void> {
    await this.ask({ ask: 'stopProfile', kind, path });
  }

  private ask(question: Question): Promise<Answered> {
    const number = (this.asked += 1);
    return new Promise((resolve, reject) => {
      const settle = (answered: Answered): void => {
        clearTimeout(timer);
        this.child.off('message', onMessage);
        this.child.off('exit', onExit);
        if (answered.error === undefined) resolve(answered);
        else reject(new Error(`${question.ask}: ${answered.error}`));
      };
      const fail = (error: string): void => settle({ number, error });
      const onMessage = (answered: Answered): void => {
        if (answered.number === number) settle(answered);
      };
      const onExit = (): void => fail('the process has ended');
      const timer = setTimeout(() => fail(`no answer in ${ANSWER_LIMIT_MS} ms`), ANSWER_LIMIT_MS);
      this.child.on('message', onMessage);
      this.child.once('exit', onExit);
      this.child.send({ number, question } satisfies Asked, (error) => {
        if (error !== null) fail(error.message);
      });
    });
  }
}

/** What a process used between two looks. */
export interface Usage {
  readonly ms: number;
  readonly cpuUs: number;
  readonly busyMs: number;
  readonly allocatedBytes: number;
  readonly collections: number;
  readonly collectingUs: number;
}

/** @param before an earlier look at the same process */
export function usageBetween(before: Look, after: Look): Usage {
  return {
    ms: after.atMs - before.atMs,
    cpuUs: after.cpuUs - before.cpuUs,
    busyMs: after.busyMs - before.busyMs,
    allocatedBytes: after.allocatedBytes - before.allocatedBytes,
    collections: after.collections - before.collections,
    collectingUs: after.collectingUs - before.collectingUs,
  };
}
