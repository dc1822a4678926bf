import { expect, it } from 'vitest';
import { tracingIsWanted } from './start-tracing.js';
import { beginSpan, callersTraceparent, currentTraceparent } from './tracing.js';

it.each<[boolean, Record<string, string>]>([
  [false, {}],
  [false, { OTEL_TRACES_EXPORTER: '' }],
  [false, { OTEL_TRACES_EXPORTER: 'none', OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318' }],
  [false, { OTEL_SDK_DISABLED: 'true', OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318' }],
  [false, { OTEL_SERVICE_NAME: 'gateway', OTEL_METRICS_EXPORTER: 'otlp' }],
  [true, { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318' }],
  [true, { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://collector:4318/v1/traces' }],
  [true, { OTEL_TRACES_EXPORTER: 'console' }],
])('traces are wanted: %s with %j', (wanted, environment) => {
  expect(tracingIsWanted(environment)).toBe(wanted);
});

it('unless it is on, there are no spans at all', () => {
  expect(beginSpan('something')).toBeUndefined();
  expect(currentTraceparent()).toBeUndefined();
  expect(callersTraceparent({ traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01` })).toBeUndefined();
});
