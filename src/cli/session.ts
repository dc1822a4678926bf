import type { Command } from 'commander';
import { adminToken, gatewayUrl } from './access.js';
import { AdminClient } from './admin-client.js';
import { EXIT } from './exit.js';
import type { Screen } from './screen.js';

/** What commands have to work with. */
export interface Surroundings {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly screen: Screen;
  /** Makes the process end with this code once everything is done. */
  exitWith(code: number): void;
}

/** Options of every command that talks to a gateway. */
interface ConnectionOptions {
  readonly url?: string;
  readonly token?: string;
  readonly json?: boolean;
}

/** One command's conversation with a gateway. */
export class Session {
  private constructor(
    readonly client: AdminClient,
    readonly screen: Screen,
    private readonly json: boolean,
    private readonly surroundings: Surroundings,
  ) {}

  /** @throws CommandError without a token, UsageError for a URL or token that cannot be one */
  static async open(surroundings: Surroundings, command: Command): Promise<Session> {
    const { url, token, json = false } = command.optsWithGlobals<ConnectionOptions>();
    const gateway = gatewayUrl(url, surroundings.environment);
    const client = new AdminClient(gateway, await adminToken(token, surroundings.environment));
    return new Session(client, surroundings.screen, json, surroundings);
  }

  /** Prints an answer: with --json as the gateway gave it, else as `words` puts it. */
  answer<T>(
    { text, value }: { readonly text: string; readonly value: T },
    words: (value: T) => string,
  ): void {
    this.screen.print(this.json ? text : words(value));
  }

  /** Does the same to each of several things. One that fails is reported and does not keep the others from it. */
  async each(names: readonly string[], act: (name: string) => Promise<void>): Promise<void> {
    for (const name of names) {
      try {
        await act(name);
      } catch (error) {
        if (names.length === 1 || !(error instanceof Error)) throw error;
        this.screen.note(`${name}: ${error.message}`);
        this.surroundings.exitWith(EXIT.failure);
      }
    }
  }

  /** A remark for people who watch; scripts do not get it. */
  remark(text: string): void {
    if (!this.json) this.screen.note(this.screen.style('dim', text));
  }
}
