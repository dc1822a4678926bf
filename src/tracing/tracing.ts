import {
  context,
  isSpanContextValid,
  propagation,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
  type Attributes,
  type Span,
  type SpanContext,
} from '@opentelemetry/api';

/**
 * A place in a trace, written as the W3C header `traceparent` is: `00-<trace id>-<span id>-<flags>`. It is stored with
 * a job, so that whoever goes on with the job goes on with its trace.
 */
export type Traceparent = string;

/** What a span may begin with. */
export interface SpanOptions {
  /** The span that it belongs to; without one it begins a trace of its own. */
  readonly parent?: Traceparent | undefined;
  /** Spans of other traces that it is about as well. */
  readonly links?: readonly Traceparent[];
  readonly kind?: 'server' | 'client' | 'internal';
  readonly attributes?: Attributes;
  /** On the clock of `Date.now()`; default now. */
  readonly startedAt?: number;
}

let tracing = false;

/** Called once the SDK runs; until then, and without it, everything here costs one comparison. */
export function enableTracing(): void {
  tracing = true;
}

/** Something that takes time and is told to the tracing backend when it ends. */
export class TracedSpan {
  constructor(private readonly span: Span) {}

  get traceparent(): Traceparent {
    const { traceId, spanId, traceFlags } = this.span.spanContext();
    return `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`;
  }

  /** Points at a span of another trace that did something for this one. */
  link(other: Traceparent): void {
    const spanContext = parse(other);
    if (spanContext !== undefined) this.span.addLink({ context: spanContext });
  }

  /** Marks a moment within. */
  mark(name: string): void {
    this.span.addEvent(name);
  }

  /** @param error why it failed, if it did: a word or two, no payload */
  end(attributes: Attributes = {}, error?: string): void {
    this.span.setAttributes(attributes);
    if (error !== undefined) this.span.setStatus({ code: SpanStatusCode.ERROR, message: error });
    this.span.end();
  }

  /** Runs `act`, and all that it sets going, with this span as the current one. */
  within(act: () => void): void {
    context.with(trace.setSpan(context.active(), this.span), act);
  }
}

const KINDS = { server: SpanKind.SERVER, client: SpanKind.CLIENT, internal: SpanKind.INTERNAL };

/** @returns undefined unless tracing is on */
export function beginSpan(name: string, options: SpanOptions = {}): TracedSpan | undefined {
  if (!tracing) return undefined;
  const { parent, links = [], kind = 'internal', attributes = {}, startedAt } = options;
  const parentContext = parent === undefined ? undefined : parse(parent);
  const within =
    parentContext === undefined ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, parentContext);
  const span = trace.getTracer('infernet-gateway').startSpan(
    name,
    {
      kind: KINDS[kind],
      attributes,
      links: links.flatMap((link) => parse(link) ?? []).map((linked) => ({ context: linked })),
      ...(startedAt === undefined ? {} : { startTime: startedAt }),
    },
    within,
  );
  return new TracedSpan(span);
}

/** The span of the request that is being served; undefined if there is none, or unless tracing is on. */
export function currentTraceparent(): Traceparent | undefined {
  const span = tracing ? trace.getActiveSpan() : undefined;
  return span === undefined ? undefined : new TracedSpan(span).traceparent;
}

/** Where the caller of a request stands in its own trace, by the headers that OTEL_PROPAGATORS names. */
export function callersTraceparent(headers: object): Traceparent | undefined {
  if (!tracing) return undefined;
  const span = trace.getSpan(propagation.extract(ROOT_CONTEXT, headers));
  return span === undefined ? undefined : new TracedSpan(span).traceparent;
}

/** Whether the backend will be told of it: of several, one that is has more to say. */
export function isSampled(traceparent: Traceparent): boolean {
  return ((parse(traceparent)?.traceFlags ?? 0) & 1) === 1;
}

function parse(traceparent: Traceparent): SpanContext | undefined {
  const [, traceId = '', spanId = '', flags = ''] =
    /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/.exec(traceparent) ?? [];
  const spanContext = { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true };
  return isSpanContextValid(spanContext) ? spanContext : undefined;
}
