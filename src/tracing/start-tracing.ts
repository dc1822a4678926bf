import { setTimeout as sleep } from 'node:timers/promises';
import { enableTracing } from './tracing.js';

/** How long the end of the process waits for a backend that does not take what is left, in ms. */
const FLUSH_BUDGET_MS = 5_000;

type Environment = Readonly<Record<string, string | undefined>>;

/** Whether OpenTelemetry's standard variables ask for traces: an exporter or an endpoint is named, and nothing forbids it. */
export function tracingIsWanted(environment: Environment): boolean {
  const { OTEL_SDK_DISABLED: disabled, OTEL_TRACES_EXPORTER: exporter } = environment;
  if (disabled?.trim().toLowerCase() === 'true' || exporter?.trim() === 'none') return false;
  return [
    exporter,
    environment['OTEL_EXPORTER_OTLP_ENDPOINT'],
    environment['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT'],
  ].some((value) => value !== undefined && value.trim() !== '');
}

/**
 * Starts OpenTelemetry's SDK if the variables ask for it; else it is not even loaded. The SDK reads the variables
 * itself: exporter, endpoint, headers, protocol, sampler, propagators, resource. Metrics are Prometheus's and logs are
 * written out, so of these the SDK sends none.
 *
 * @returns sends what is left, and ends
 */
export async function startTracing(environment: Environment): Promise<() => Promise<void>> {
  if (!tracingIsWanted(environment)) return () => Promise.resolve();
  const { NodeSDK } = await import('@opentelemetry/sdk-node');
  const named = /(?:^|,)\s*service\.name=/.test(environment['OTEL_RESOURCE_ATTRIBUTES'] ?? '');
  const sdk = new NodeSDK({
    metricReaders: [],
    logRecordProcessors: [],
    ...((environment['OTEL_SERVICE_NAME'] ?? '') !== '' || named ? {} : { serviceName: 'infernet-gateway' }),
  });
  sdk.start();
  enableTracing();
  return () =>
    Promise.race([sdk.shutdown().catch(() => undefined), sleep(FLUSH_BUDGET_MS, undefined, { ref: false })]);
}
