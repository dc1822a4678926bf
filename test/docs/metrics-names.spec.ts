import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { METRICS, type MetricDefinition } from '../../src/metrics/definitions.js';
import { processRegistry } from '../../src/metrics/process-registry.js';

const read = (file: string): Promise<string> =>
  readFile(new URL(`../../docs/${file}`, import.meta.url), 'utf8');

const own: readonly MetricDefinition[] = Object.values(METRICS);
const ofProcess = processRegistry().getMetricsAsArray();

/** Every name under which Prometheus stores something of ours. */
const stored = new Set([
  ...own.flatMap(({ name, type }) => (type === 'histogram' ? histogramNames(name) : [name])),
  ...ofProcess.map(({ name }) => name),
]);

function histogramNames(name: string): string[] {
  return ['bucket', 'sum', 'count'].map((part) => `${name}_${part}`);
}

/** The metrics that a text speaks of. */
function namesIn(text: string): string[] {
  return [...text.matchAll(/\b(?:infernet_gateway|nodejs|process)_[a-z0-9_]+/g)].map(([name]) => name);
}

it('docs/metrics.md lists every metric of the gateway, as it is defined', async () => {
  const rows = (await read('metrics.md')).matchAll(
    /^\| `(infernet_gateway_\w+)` +\|([^|]*)\|([^|]*)\|([^|]*)\|(.*)\|$/gm,
  );
  const documented = [...rows].map(([, name, ...cells]) => [name, ...cells.map((cell) => cell.trim())]);
  const defined = own.map(({ name, type, labels, acrossReplicas, help }) => {
    return [name, type, labels.map((label) => `\`${label}\``).join(', '), acrossReplicas, help];
  });
  expect(documented).toEqual(defined);
});

it('docs/metrics.md names every metric of the process, and none that does not exist', async () => {
  const named = new Set(namesIn(await read('metrics.md')));
  for (const { name } of ofProcess) expect(named, name).toContain(name);
  const known = new Set([...stored, ...own.map(({ name }) => name)]);
  for (const name of named) expect(known, name).toContain(name);
});

it('the alert rules ask for metrics and labels that exist', async () => {
  const rules = await read('alerts.yml');
  const expressions = [...rules.matchAll(/^ +expr: (.+)$/gm)].map(([, expression]) => expression ?? '');
  expect(expressions).toHaveLength(rules.match(/- alert: /g)?.length ?? 0);
  for (const expression of expressions) expectKnown(expression);
});

it('the Grafana dashboard asks for metrics and labels that exist', async () => {
  const dashboard = JSON.parse(await read('grafana/infernet-gateway.json')) as {
    panels: { targets?: { expr: string }[] }[];
    templating: unknown;
  };
  const expressions = dashboard.panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));
  expect(expressions.length).toBeGreaterThan(20);
  for (const expression of [...expressions, JSON.stringify(dashboard.templating)]) expectKnown(expression);
});

/** `job` and `instance` come from Prometheus, `le` from histograms. */
function expectKnown(expression: string): void {
  expect(namesIn(expression), expression).not.toEqual([]);
  for (const name of namesIn(expression)) expect(stored, expression).toContain(name);
  for (const [, name = '', selector = ''] of expression.matchAll(
    /\b(infernet_gateway_[a-z_]+)\{([^}]*)\}/g,
  )) {
    const metric = own.find((each) => [each.name, ...histogramNames(each.name)].includes(name));
    for (const [, label] of selector.matchAll(/(\w+)(?:=~|!=|=|!~)"/g)) {
      expect(['job', 'instance', 'le', ...(metric?.labels ?? [])], expression).toContain(label);
    }
  }
}
