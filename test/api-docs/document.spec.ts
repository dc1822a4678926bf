import { NestFactory } from '@nestjs/core';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { AdminToken } from '../../src/admin/admin-token.js';
import type { Content, Described, OpenApiDocument, Parameter } from '../../src/api-docs/openapi-document.js';
import { AppModule } from '../../src/app.module.js';
import { readSettings } from '../../src/config/settings.js';
import { createHttpAdapter } from '../../src/http/http-server.js';
import { OpenRequests } from '../../src/http/open-requests.js';
import { SecretMask } from '../../src/logging/secret-mask.js';
import { PrometheusMetrics } from '../../src/metrics/prometheus-metrics.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

/** Routes that are not in the document, and why. */
const UNDOCUMENTED: Readonly<Record<string, string>> = {
  'GET /dashboard/*': 'files of the page',
};

let database: TestDatabase;
let app: NestFastifyApplication;
let document: OpenApiDocument;
let page: string;
const routes: string[] = [];

beforeAll(async () => {
  database = await createTestDatabase();
  const metrics = new PrometheusMetrics();
  const secrets = new SecretMask();
  const settings = readSettings({ LOG_LEVEL: 'silent', DATABASE_URL: database.url });
  const adapter = createHttpAdapter(settings, new OpenRequests(), metrics);
  adapter.getInstance().addHook('onRoute', ({ method, url }) => {
    for (const one of [method].flat()) routes.push(`${one} ${url}`);
  });
  const adminToken = new AdminToken('an-admin-token-of-the-tests');
  app = await NestFactory.create<NestFastifyApplication>(
    AppModule.forRoot({ settings, databaseUrl: database.url, adminToken, metrics, secrets }),
    adapter,
    { bodyParser: false, logger: false, abortOnError: false },
  );
  await app.init();
  document = (await app.inject('/openapi.json')).json();
  page = (await app.inject('/docs')).body;
});
afterAll(async () => {
  await app.close();
  await database.drop();
});

it('every route is in the document, or on the list of those that are not', () => {
  const documented = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path.replaceAll(/\{(\w+)\}/g, ':$1')}`),
  );
  // HEAD comes with GET, and the adapter answers every path's OPTIONS like any unknown one.
  const known = routes.filter((route) => !/^(HEAD|OPTIONS) /.test(route) && !(route in UNDOCUMENTED));
  expect([...new Set(known)].sort()).toEqual(documented.sort());
});

it('every example is what its schema says', () => {
  const ajv = new Ajv2020({ strict: false, allErrors: true });
  addFormats.default(ajv);
  ajv.addSchema({ $id: 'document', components: document.components });
  let checked = 0;
  const check = (where: string, schema: object | undefined, value: unknown): void => {
    if (schema === undefined) return;
    const text = JSON.stringify(schema).replaceAll('"#/components/', '"document#/components/');
    const validate = ajv.compile(JSON.parse(text));
    expect(validate(value) ? [] : validate.errors, `${where}: ${JSON.stringify(value)}`).toEqual([]);
    checked += 1;
  };
  const checkContent = (where: string, { content = {} }: Described): void => {
    for (const { schema, examples = {} } of Object.values<Content>(content)) {
      for (const [name, { value }] of Object.entries(examples)) check(`${where}, ${name}`, schema, value);
    }
  };
  for (const [path, methods] of Object.entries(document.paths)) {
    for (const [method, { parameters = [], requestBody, responses }] of Object.entries(methods)) {
      const where = `${method} ${path}`;
      for (const { name, schema, example } of parameters as readonly Parameter[]) {
        if (example !== undefined) check(`${where} ${name}`, schema, example);
      }
      if (requestBody !== undefined) checkContent(where, requestBody);
      for (const [status, answer] of Object.entries(responses)) checkContent(`${where} ${status}`, answer);
    }
  }
  expect(checked).toBeGreaterThan(50);
});

it('every call says something, and shows an example of each JSON body', () => {
  for (const [path, methods] of Object.entries(document.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const where = `${method} ${path}`;
      expect(operation.summary, where).toMatch(/^[A-Z].*[^.]$/);
      const bodies = [operation.requestBody, ...Object.values(operation.responses)];
      for (const { schema, examples } of bodies.flatMap((body) =>
        Object.values<Content>(body?.content ?? {}),
      )) {
        if (schema !== undefined) expect(Object.keys(examples ?? {}).length, where).toBeGreaterThan(0);
      }
    }
  }
});

it('the page shows every call and loads nothing', () => {
  for (const [path, methods] of Object.entries(document.paths)) {
    for (const operation of Object.values(methods)) {
      expect(page).toContain(`<article id="${operation.operationId}">`);
      expect(page).toContain(`<code>${path}</code>`);
    }
  }
  expect(page).not.toMatch(
    /<(script|link|img|iframe|object)|src=|https?:\/\/(?!10\.0\.0\.7|gpu\.example|json-schema)/,
  );
});
