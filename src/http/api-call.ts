import {
  applyDecorators,
  createParamDecorator,
  HttpCode,
  SetMetadata,
  type ExecutionContext,
} from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import type { z } from 'zod';
import type { ErrorCode } from '../errors.js';
import { readBody, readParameters } from './api-input.js';

/** Chapters of the API documents, in their order. */
export const API_CHAPTERS = {
  Jobs: 'Handing in jobs and reading their results, as on an Infernet node.',
  Fleet: 'What the nodes offer together, as one node or router would say it.',
  'Admin: nodes': 'Registering nodes and what is known of them.',
  'Admin: jobs': 'Looking into jobs, retrying and cancelling them.',
  'Admin: subscriptions': 'Looking into delegated subscriptions and offering them anew.',
  Operations: 'Health, numbers and documents of the gateway itself.',
} as const;

/** An example of a body, by what it shows. */
export type Examples = Readonly<Record<string, unknown>>;

/** One status that a call may answer with. */
export interface ApiAnswer {
  readonly description: string;
  /** Default `application/json`. */
  readonly contentType?: string;
  /** Left out where the content is no JSON that could be described. */
  readonly schema?: z.ZodType;
  readonly examples?: Examples;
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * One call of the HTTP API as one value: `@Input()` validates requests with its schemas, and the API documents are
 * generated from it, so the two cannot differ. Where a handler reads its request by itself (raw JSON), a test compares
 * the schema with what the handler accepts.
 */
export interface ApiCallSpec<
  Params extends z.ZodObject | undefined = z.ZodObject | undefined,
  Query extends z.ZodObject | undefined = z.ZodObject | undefined,
  Body extends z.ZodType | undefined = z.ZodType | undefined,
> {
  readonly chapter: keyof typeof API_CHAPTERS;
  /** A few words, without a full stop. */
  readonly summary: string;
  readonly description?: string;
  readonly params?: Params;
  readonly query?: Query;
  readonly body?: Body;
  readonly bodyExamples?: Examples;
  /** Example values of parameters, by name. */
  readonly parameterExamples?: Examples;
  /** Request headers, name to meaning. */
  readonly headers?: Readonly<Record<string, string>>;
  /** By status, all but errors of the gateway; the first one is the status of a success. */
  readonly answers: Readonly<Record<number, ApiAnswer>>;
  /** Errors besides those that follow from parameters, body and sign-in. */
  readonly errors?: readonly ErrorCode[];
  /** Whether it needs the admin token; left out, the path decides: everything under /admin does. */
  readonly open?: boolean;
}

type Parsed<Schema> = Schema extends z.ZodType ? z.output<Schema> : undefined;

/** What `@Input()` hands to the handler of a call. */
export type InputOf<Spec> =
  Spec extends ApiCallSpec<infer Params, infer Query, infer Body>
    ? { readonly params: Parsed<Params>; readonly query: Parsed<Query>; readonly body: Parsed<Body> }
    : never;

/** Keeps the types of a call's schemas for `InputOf`. */
export function apiCall<
  const Params extends z.ZodObject | undefined = undefined,
  const Query extends z.ZodObject | undefined = undefined,
  const Body extends z.ZodType | undefined = undefined,
>(spec: ApiCallSpec<Params, Query, Body>): ApiCallSpec<Params, Query, Body> {
  return spec;
}

const API_CALL = 'infernet-gateway:api-call';

/** Documents a handler and sets the status of its success. */
export function ApiCall(spec: ApiCallSpec): MethodDecorator {
  return applyDecorators(SetMetadata(API_CALL, spec), HttpCode(successStatus(spec)));
}

/** The documented call behind a handler, if it is one. */
export function apiCallOf(handler: object): ApiCallSpec | undefined {
  return Reflect.getMetadata(API_CALL, handler) as ApiCallSpec | undefined;
}

/** The status that a call answers with when all went well. */
export function successStatus(spec: ApiCallSpec): number {
  return Math.min(...Object.keys(spec.answers).map(Number));
}

/**
 * Parameters, query and body of a request, validated by the schemas of the handler's `@ApiCall`; declare it as
 * `InputOf<typeof call>`. A wrong one is answered with MALFORMED_REQUEST, which names the field.
 */
export const Input = createParamDecorator((_: unknown, context: ExecutionContext) => {
  const spec = apiCallOf(context.getHandler());
  if (spec === undefined) throw new Error(`${context.getHandler().name} has no @ApiCall`);
  const request = context.switchToHttp().getRequest<FastifyRequest>();
  return {
    params: spec.params && readParameters(spec.params, request.params),
    query: spec.query && readParameters(spec.query, request.query),
    body: spec.body && readBody(spec.body, request.body, request.headers['content-type']),
  };
});

/** What a handler returns for an answer with this schema; dates become text when it is written. */
export type AnswerOf<Schema extends z.ZodType> = Unchangeable<z.output<Schema>>;

type Unchangeable<T> = T extends Date
  ? T
  : T extends object
    ? { readonly [Member in keyof T]: Unchangeable<T[Member]> }
    : T;
