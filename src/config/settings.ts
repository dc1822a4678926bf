import { isIP } from 'node:net';
import { z } from 'zod';

/**
 * Every setting of the gateway: its environment variable, default, unit and meaning. The README's table
 * says the same to operators. Nothing else in the project reads `process.env`.
 */

const flag = z
  .enum(['true', 'false', '1', '0'])
  .transform((text) => text === 'true' || text === '1')
  .default(false);

const integer = (minimum: number, maximum: number, fallback: number) =>
  z
    .string()
    .regex(/^\d+$/, 'a whole number')
    .transform(Number)
    .pipe(z.number().min(minimum, `at least ${minimum}`).max(maximum, `at most ${maximum}`))
    .default(fallback);

const urlOf = (...protocols: string[]) =>
  z.string().refine((text) => URL.canParse(text) && protocols.includes(new URL(text).protocol), {
    message: `a URL that starts with ${protocols.map((protocol) => `${protocol}//`).join(' or ')}`,
  });

const PROXY_NAMES = ['loopback', 'linklocal', 'uniquelocal'];

/** Whether Fastify can tell by this entry which proxies are meant. It takes no range that is everybody. */
function namesProxies(entry: string): boolean {
  if (PROXY_NAMES.includes(entry)) return true;
  const [address = '', prefix, ...rest] = entry.split('/');
  const family = isIP(address);
  if (family === 0 || rest.length > 0) return false;
  return prefix === undefined || (/^[1-9]\d*$/.test(prefix) && Number(prefix) <= (family === 4 ? 32 : 128));
}

const UNIT_MS = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

const duration = (fallback: string) =>
  z
    .string()
    .regex(/^[1-9]\d*[smhd]$/, 'a duration such as 30s, 15m, 12h or 7d')
    .default(fallback)
    .transform((text) => Number(text.slice(0, -1)) * UNIT_MS[text.at(-1) as keyof typeof UNIT_MS]);

/** The environment, as operators write it. Unknown variables are not ours and are ignored. */
export const environmentSchema = z.object({
  /** Address to listen on; `::` is every address of both families. */
  HOST: z.string().min(1).default('::'),
  /** Port to listen on; 0 picks a free one. */
  PORT: integer(0, 65_535, 4000),
  /** PostgreSQL to use; unset starts an embedded one in DATA_DIR. */
  DATABASE_URL: urlOf('postgres:', 'postgresql:').optional(),
  /** Connections that the gateway's own queries may open. */
  DATABASE_POOL_SIZE: integer(2, 500, 10),
  /** Redis for BullMQ; unset keeps the queues in PostgreSQL. */
  REDIS_URL: urlOf('redis:', 'rediss:').optional(),
  /** Folder for the embedded database and the generated admin token. */
  DATA_DIR: z.string().min(1).default('.data'),
  /** Bearer token of the admin API; unset makes one and keeps it in DATA_DIR. */
  ADMIN_TOKEN: z.string().min(16, 'at least 16 characters').optional(),
  /** Who may read /metrics: whoever has METRICS_TOKEN or ADMIN_TOKEN, or everybody. */
  METRICS_ACCESS: z.enum(['token', 'open']).default('token'),
  /** Bearer token that opens /metrics and nothing else. */
  METRICS_TOKEN: z.string().min(16, 'at least 16 characters').optional(),
  /** Comma-separated node URLs, registered at start. */
  NODES: z
    .string()
    .default('')
    .transform((text) =>
      text
        .split(',')
        .map((url) => url.trim())
        .filter((url) => url !== ''),
    ),
  /** A file of nodes, `host:port` or a URL in each line, that is watched for changes. */
  NODES_FILE: z.string().min(1).optional(),
  /** A Node Explorer to take nodes from; `/api/nodes` is added. */
  NODE_EXPLORER_URL: urlOf('http:', 'https:').optional(),
  /** Time between two questions to the explorer, in ms; spread by a tenth. */
  EXPLORER_INTERVAL_MS: integer(100, 86_400_000, 60_000),
  /** Nodes from the explorer get callers' data without an operator's approval. */
  EXPLORER_TRUST: flag,
  /**
   * Whose X-Forwarded-For is believed: `false`, or a comma-separated list of addresses, CIDR ranges
   * and the names loopback, linklocal, uniquelocal. `true` believes everybody.
   */
  TRUST_PROXY: z
    .string()
    .default('false')
    .refine(
      (text) =>
        ['true', 'false'].includes(text) || text.split(',').every((entry) => namesProxies(entry.trim())),
      `true, false or a comma-separated list of IP addresses, ranges such as 10.0.0.0/8 and the names ${PROXY_NAMES.join(', ')}`,
    )
    .transform((text) => (text === 'true' ? true : text === 'false' ? false : text)),
  /** How long a connection may take to send the head of a request, its first one included, in ms. */
  HEADERS_TIMEOUT_MS: integer(100, 600_000, 15_000),
  /** How long a whole request may take to arrive, in ms. */
  REQUEST_TIMEOUT_MS: integer(100, 3_600_000, 120_000),
  /** Connections of callers that may be open at once; further ones are closed at once. */
  MAX_CONNECTIONS: integer(1, 1_000_000, 10_000),
  /** pino level. */
  LOG_LEVEL: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']).default('info'),
  /** Time between two looks at a node's /info, in ms; spread by a tenth so that probes do not align. */
  PROBE_INTERVAL_MS: integer(100, 600_000, 5_000),
  /** How long a node may take to answer /info, in ms. */
  PROBE_TIMEOUT_MS: integer(50, 60_000, 3_000),
  /** Time between two looks at a node's /resources, in ms. */
  RESOURCES_INTERVAL_MS: integer(1_000, 86_400_000, 60_000),
  /** How long a node may take to accept a job, in ms, before the gateway asks it whether it did. */
  SUBMIT_TIMEOUT_MS: integer(100, 120_000, 10_000),
  /** After this many ms an application gets its job id even if no node has accepted the job yet. */
  ANSWER_WITHIN_MS: integer(100, 4_000, 3_500),
  /** The most that `Prefer: wait=N` waits, in seconds. */
  MAX_WAIT_SECONDS: integer(1, 300, 4),
  /** How long a replica may be silent before others take its nodes over, in ms. */
  LEASE_TTL_MS: integer(500, 600_000, 6_000),
  /** Gateways that reach the nodes from the same address share this name: only they see each other's jobs there. */
  EGRESS_GROUP: z.string().min(1).max(100).default('default'),
  /** How nodes are chosen; all but `learned` are there to be compared with. */
  DISPATCH_POLICY: z.enum(['learned', 'least-pending', 'round-robin']).default('learned'),
  /** A job that failed this often on nodes, through no fault of its own, is given up. */
  MAX_ATTEMPTS: integer(1, 100, 6),
  /** A job that has not ended by then is given up; becomes ms. */
  JOB_DEADLINE: duration('24h'),
  /** Pause before the first retry, in ms; it doubles with each further one, less a random part of up to half. */
  RETRY_BASE_MS: integer(10, 600_000, 1_000),
  /** The longest pause before a retry, in ms. */
  RETRY_MAX_MS: integer(10, 3_600_000, 60_000),
  /** How long a container may take on a node, in ms: a job that runs longer than this for each container is lost. */
  CONTAINER_TIMEOUT_MS: integer(100, 86_400_000, 180_000),
  /** Time beyond that before the job counts as lost, in ms. */
  RUNNING_GRACE_MS: integer(0, 86_400_000, 30_000),
  /** A node that may have a job is asked for it this long while it gives no answer, in ms. */
  NO_ANSWER_MS: integer(100, 600_000, 30_000),
  /**
   * Outputs that are errors in disguise: a JSON object from container id to the members that such an output has, for
   * example {"my-llm":{"status":"error"}}. The job is tried elsewhere.
   */
  ERROR_WHEN: z
    .string()
    .default('{}')
    .transform((text, context) => readErrorWhen(text) ?? invalid(context)),
  /** A larger result of one job fails that job, in bytes. */
  MAX_RESULT_BYTES: integer(1_024, 1_073_741_824, 67_108_864),
  /** How long a stream waits for a node with room before it is refused, in ms. */
  STREAM_WAIT_MS: integer(0, 120_000, 10_000),
  /** A stream is cut off when 1 MiB waits for a caller who has taken nothing for this long, in ms. */
  STREAM_STALL_MS: integer(100, 600_000, 10_000),
  /** How much of a stream's output is kept with its job, in bytes; of a longer one the beginning, marked as truncated. */
  STREAM_OUTPUT_BYTES: integer(0, 67_108_864, 1_048_576),
  /** Finished jobs are deleted after this long; becomes ms. */
  RETENTION: duration('7d'),
  /** Keep the request bytes of succeeded jobs. */
  KEEP_REQUESTS: flag,
  /** How long a stop goes on as usual after `/ready` has begun to say no, in ms; give load balancers time to notice. */
  SHUTDOWN_GRACE_MS: integer(0, 600_000, 0),
  /** How long a stop waits for requests in flight, and then for jobs on their way to nodes, in ms. */
  SHUTDOWN_BUDGET_MS: integer(0, 600_000, 10_000),
});

/** Container id → members whose presence in an output tells that it is an error. */
export type ErrorPatterns = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

function readErrorWhen(text: string): ErrorPatterns | undefined {
  const patterns = z.record(z.string(), z.record(z.string(), z.unknown()));
  try {
    return patterns.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

function invalid(context: z.RefinementCtx): never {
  context.addIssue({ code: 'custom', message: 'a JSON object from container id to an object of members' });
  return z.NEVER;
}

type Environment = z.infer<typeof environmentSchema>;

type CamelCase<Name extends string> = Name extends `${infer Head}_${infer Tail}`
  ? `${Lowercase<Head>}${Capitalize<CamelCase<Tail>>}`
  : Lowercase<Name>;

type SettingValues = { readonly [Name in keyof Environment as CamelCase<Name>]: Environment[Name] };

/** The validated settings, named as in the environment but in camel case. Also the injection token. */
// The schema above stays the only list of settings: the class takes its properties from there.
// oxlint-disable-next-line typescript/no-unsafe-declaration-merging
export class Settings {
  constructor(values: SettingValues) {
    Object.assign(this, values);
  }
}
export interface Settings extends SettingValues {}

/** A setting that cannot be used. The message has a line for each: name, value, what was expected. */
export class SettingsError extends Error {
  constructor(readonly problems: readonly string[]) {
    super(`The settings cannot be used:\n${problems.map((problem) => `  ${problem}`).join('\n')}`);
    this.name = 'SettingsError';
  }
}

const SECRETS = new Set(['ADMIN_TOKEN', 'METRICS_TOKEN', 'DATABASE_URL', 'REDIS_URL']);

/**
 * Reads the settings from an environment. An empty variable counts as unset.
 * @throws SettingsError naming every setting that is wrong, its value (secrets masked) and what was expected
 */
export function readSettings(environment: Readonly<Record<string, string | undefined>>): Settings {
  const given = Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== ''));
  const parsed = environmentSchema.safeParse(given);
  if (!parsed.success) {
    throw new SettingsError(
      parsed.error.issues.map((issue) => {
        const name = String(issue.path[0]);
        const value = SECRETS.has(name) ? '(hidden)' : JSON.stringify(given[name]);
        return `${name}=${value}: expected ${issue.message}`;
      }),
    );
  }
  const values = Object.entries(parsed.data).map(([name, value]) => [camelCase(name), value]);
  return new Settings(Object.fromEntries(values) as SettingValues);
}

function camelCase(name: string): string {
  return name.toLowerCase().replace(/_(.)/g, (_, letter: string) => letter.toUpperCase());
}
