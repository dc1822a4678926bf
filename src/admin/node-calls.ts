import { z } from 'zod';
import { apiCall, type AnswerOf } from '../http/api-call.js';
import { storableString } from '../http/api-input.js';
import { aContainer, containerSchema, NODE_FEATURES } from '../protocol/node-info.js';

/**
 * The admin API's calls about nodes: what they take and what they answer.
 */

const labels = z.record(storableString.min(1).max(100), storableString.max(1_000));

/** Header names that belong to the gateway's own requests. */
const RESERVED_HEADERS = [
  'content-length',
  'content-type',
  'transfer-encoding',
  'connection',
  'host',
  'upgrade',
  'expect',
  'keep-alive',
];

const headers = z.record(
  z
    .string()
    .regex(/^[\w!#$%&'*+.^`|~-]+$/, 'a header name expected')
    .refine((name) => !RESERVED_HEADERS.includes(name.toLowerCase()), 'this header is set by the gateway'),
  // What a header can carry: no control characters, and nothing beyond Latin-1.
  z.string().regex(/^[\u0020-\u007e\u00a0-\u00ff]*$/, 'a header value without control characters expected'),
);

const wishes = {
  name: storableString.min(1).max(200).optional().describe('Default: host, port and path of the URL.'),
  weight: z
    .number()
    .positive()
    .max(1_000)
    .optional()
    .describe('Share of work relative to other nodes; default 1.'),
  maxInFlight: z
    .int()
    .min(1)
    .max(1_000_000)
    .nullable()
    .optional()
    .describe('Hard limit of jobs on the node; null or left out: none.'),
  labels: labels.optional().describe('Notes of your own.'),
  headers: headers
    .optional()
    .describe('Sent with every request to the node. Values are secrets: no answer shows them.'),
};

const url = storableString
  .min(1)
  .max(2_000)
  .describe('http or https, host, port, and a path prefix if need be; `host:port` alone means http.');

/** Body of `POST /admin/nodes`. */
export const registerNodeSchema = z.strictObject({ url, ...wishes }).meta({ id: 'NodeRegistration' });

/** Body of `PATCH /admin/nodes/{id}`; what is left out stays. */
export const changeNodeSchema = z.strictObject({ url: url.optional(), ...wishes }).meta({ id: 'NodeChange' });

const kindSchema = z
  .object({
    containers: z.array(z.string()),
    slots: z.number().describe('Jobs of this kind that it runs at once, as far as learned.'),
    starting: z.boolean().describe('Whether the slots are still being found out.'),
    window: z.number().nullable().describe('Jobs of this kind it may have now; null: no limit.'),
    serviceMs: z.number(),
    speed: z.number().describe('How many times as fast as the fleet it runs them.'),
    outstanding: z.int(),
  })
  .meta({ id: 'NodeKind', description: 'What was learned of one kind of job on the node.' });

/** How fast a node may be asked. */
export const budgetSchema = z
  .record(z.string(), z.object({ limit: z.number(), left: z.number(), waitMs: z.number() }))
  .describe('For each route that the node limits: requests left, and how long the next one waits.');

/** A node as the admin API shows it. */
export const nodeSchema = z
  .object({
    id: z.string(),
    url: z.string(),
    name: z.string(),
    state: z.enum(['active', 'draining', 'removing', 'removed']),
    source: z.enum(['admin', 'env', 'file', 'explorer']).describe('Where it comes from.'),
    approved: z
      .boolean()
      .describe("Whether it may have callers' data; false for strangers from an explorer."),
    weight: z.number(),
    maxInFlight: z.int().nullable(),
    labels: z.record(z.string(), z.string()),
    headers: z.array(z.string()).describe('Names only; the values are secrets.'),
    createdAt: z.date(),
    health: z.enum(['unknown', 'up', 'down']),
    lastSeenAt: z.iso.datetime().nullable(),
    lastError: z.object({ message: z.string(), at: z.iso.datetime() }).nullable(),
    latencyMs: z.number().nullable().describe('How long its last /info took.'),
    version: z.string().nullable(),
    chain: z.object({ enabled: z.boolean(), address: z.string() }).nullable(),
    features: z.array(z.enum(NODE_FEATURES)).describe('What its version and configuration let it do.'),
    containers: z.array(containerSchema),
    pending: z
      .object({ offchain: z.number(), onchain: z.number() })
      .nullable()
      .describe('Unfinished work of all its clients.'),
    foreign: z.number().describe('That part of it that is not ours.'),
    inFlight: z.int().describe('Our jobs on the node.'),
    slots: z.number().nullable().describe('Of the kind of job for which most are known.'),
    starting: z.boolean().describe('Whether the slots of all kinds are still being found out.'),
    speed: z.number().nullable().describe('How many times as fast as the fleet it is.'),
    serviceMs: z.number().nullable().describe('Expected time in service of the kind that ran last.'),
    kinds: z.array(kindSchema).describe('The 20 kinds of jobs that ran last.'),
    budget: budgetSchema,
    lease: z.object({ heldHere: z.boolean(), fence: z.int().nullable() }),
  })
  .meta({ id: 'Node' });

export type NodeView = AnswerOf<typeof nodeSchema>;

export const NODE_ID = '019b0a00-7c1e-7a3b-9a51-2f6f0d4c1a10';

const aNode = {
  id: NODE_ID,
  url: 'http://10.0.0.7:4000',
  name: 'basement',
  state: 'active',
  source: 'admin',
  approved: true,
  weight: 2,
  maxInFlight: 8,
  labels: { zone: 'a' },
  headers: ['X-Api-Key'],
  createdAt: '2026-11-28T12:00:00.000Z',
  health: 'up',
  lastSeenAt: '2026-11-28T12:00:05.120Z',
  lastError: null,
  latencyMs: 3.4,
  version: '1.4.0',
  chain: { enabled: false, address: '' },
  features: ['proof', 'resources', 'stream'],
  containers: [aContainer],
  pending: { offchain: 3, onchain: 0 },
  foreign: 1,
  inFlight: 2,
  slots: 4,
  starting: false,
  speed: 1.2,
  serviceMs: 211,
  kinds: [
    {
      containers: ['echo'],
      slots: 4,
      starting: false,
      window: 5,
      serviceMs: 210.5,
      speed: 1.2,
      outstanding: 2,
    },
  ],
  budget: { create_job: { limit: 60, left: 57, waitMs: 0 } },
  lease: { heldHere: true, fence: 1 },
};

const one = (description: string, change: object = {}) => ({
  description,
  schema: nodeSchema,
  examples: { node: { ...aNode, ...change } },
});

const idParameter = z.strictObject({ id: z.string().max(100) });

const ofOne = {
  chapter: 'Admin: nodes',
  params: idParameter,
  parameterExamples: { id: NODE_ID },
  errors: ['NOT_FOUND', 'DATABASE_UNAVAILABLE'],
} as const;

export const registerNode = apiCall({
  chapter: 'Admin: nodes',
  summary: 'Register a node',
  description:
    'Answers when the node was looked at once, so that the answer shows whether it is up. A node that is down is ' +
    'registered too, and gets jobs when it comes up.',
  body: registerNodeSchema,
  bodyExamples: {
    'the URL alone': { url: 'http://10.0.0.7:4000' },
    'all wishes': {
      url: 'https://gpu.example:8443/infernet',
      name: 'basement',
      weight: 2,
      maxInFlight: 8,
      labels: { zone: 'a' },
      headers: { 'X-Api-Key': 'secret' },
    },
  },
  answers: { 201: one('Registered.') },
  errors: ['NODE_URL_TAKEN', 'DATABASE_UNAVAILABLE'],
});

export const listNodes = apiCall({
  chapter: 'Admin: nodes',
  summary: 'All registered nodes',
  answers: {
    200: {
      description: 'In order of registration.',
      schema: z.object({ nodes: z.array(nodeSchema) }),
      examples: { 'one node': { nodes: [aNode] } },
    },
  },
});

export const showNode = apiCall({
  ...ofOne,
  summary: 'One node',
  answers: { 200: one('Configuration, health, and what was learned of it.') },
  errors: ['NOT_FOUND'],
});

export const changeNode = apiCall({
  ...ofOne,
  summary: 'Change a node',
  description: 'What is left out stays as it is. A node that moved keeps its jobs.',
  body: changeNodeSchema,
  bodyExamples: { 'half the work': { weight: 0.5 }, 'no limit': { maxInFlight: null } },
  answers: { 200: one('Changed.') },
  errors: ['NOT_FOUND', 'NODE_URL_TAKEN', 'DATABASE_UNAVAILABLE'],
});

export const approveNode = apiCall({
  ...ofOne,
  summary: 'Approve a node from an explorer',
  description: "It may have callers' data from now on.",
  answers: { 200: one('It is approved.', { source: 'explorer' }) },
});

export const drainNode = apiCall({
  ...ofOne,
  summary: 'Drain a node',
  description: 'It gets no new jobs; running ones are collected.',
  answers: { 200: one('It drains.', { state: 'draining' }) },
});

export const resumeNode = apiCall({
  ...ofOne,
  summary: 'Take a drain back',
  description: 'Or a removal that is not complete.',
  answers: { 200: one('It gets jobs again.') },
});

export const removeNode = apiCall({
  ...ofOne,
  summary: 'Remove a node',
  description:
    'Once its jobs are done; with `force=true` they go elsewhere now. It stays in the history of jobs.',
  query: z.strictObject({ force: z.enum(['true', 'false']).optional() }),
  answers: { 202: one('It is being removed.', { state: 'removing' }) },
});
