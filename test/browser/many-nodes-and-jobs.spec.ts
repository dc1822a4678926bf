import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import type { Browser, Page, Response } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { GatewayProcess } from '../support/gateway-process.js';
import { hasTool } from '../support/requirements.js';
import { accessibilityFaults, CHROMIUM, startBrowser, watch, type Misdeeds } from './browser.js';

const TOKEN = 'an-admin-token-of-the-browser';

/** 500 nodes that nobody answers for, and 100,000 jobs of the last day: one in a hundred failed, one in a thousand waits. */
const FILL = `
  INSERT INTO nodes (id, url, name, weight, source, updated_at)
  SELECT gen_random_uuid(), 'http://127.0.0.1:9/' || n, 'node-' || n, 1 + n % 5, 'admin', now() FROM generate_series(1, 500) AS n;

  INSERT INTO jobs (id, caller, state, containers, requires_proof, created_at, finished_at, deadline_at)
  SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7000' || '8000' || lpad(to_hex(n), 12, '0'))::uuid,
         'caller-' || n % 7, (CASE WHEN n % 1000 = 0 THEN 'queued' WHEN n % 100 = 1 THEN 'failed' ELSE 'succeeded' END)::job_state,
         ARRAY['model-' || n % 40], false, at, CASE WHEN n % 1000 = 0 THEN NULL ELSE at + interval '2 seconds' END,
         now() + interval '1 day'
  FROM generate_series(1, 100000) AS n, LATERAL (SELECT now() - n * interval '0.8 seconds' AS at) AS time;

  INSERT INTO attempts (id, job_id, node_id, number, state, created_at, accepted_at, finished_at)
  SELECT jobs.id, jobs.id, node.id, 1, jobs.state::text::attempt_state, jobs.created_at + interval '0.1 seconds',
         jobs.created_at + interval '0.2 seconds', finished_at
  FROM jobs JOIN (SELECT id, row_number() OVER () AS n FROM nodes) AS node
    ON node.n = 1 + ('x' || right(jobs.id::text, 6))::bit(24)::int % 500
  WHERE finished_at IS NOT NULL;

  INSERT INTO job_requests (job_id, body) SELECT id, '{}' FROM jobs WHERE finished_at IS NULL;
  ANALYZE;`;

async function historyOf(answer: Response): Promise<{ succeeded: number[]; at: number[] }> {
  return ((await answer.json()) as { history: { succeeded: number[]; at: number[] } }).history;
}

describe.skipIf(!hasTool(CHROMIUM, 'the dashboard with many nodes and jobs'))(
  'with 500 nodes and 100,000 jobs',
  () => {
    let dataDir: string;
    let database: TestDatabase;
    let gateway: GatewayProcess;
    let browser: Browser;
    let page: Page;
    let misdeeds: Misdeeds;

    beforeAll(async () => {
      dataDir = await mkdtemp(join(tmpdir(), 'infernet-gateway-browser-'));
      database = await createTestDatabase();
      const client = new pg.Client({ connectionString: database.url });
      await client.connect();
      await client.query(FILL);
      await client.end();
      gateway = await GatewayProcess.start({
        DATABASE_URL: database.url,
        DATA_DIR: dataDir,
        ADMIN_TOKEN: TOKEN,
        LOG_LEVEL: 'silent',
        SHUTDOWN_BUDGET_MS: '500',
      });
      browser = await startBrowser();
      const context = await browser.newContext({ viewport: { width: 1_600, height: 1_000 } });
      context.setDefaultTimeout(60_000);
      misdeeds = watch(context, gateway.url);
      page = await context.newPage();
      await page.addInitScript(
        (token) => sessionStorage.setItem('infernet-gateway-admin-token', token),
        TOKEN,
      );
    }, 180_000);

    afterAll(async () => {
      await browser?.close();
      await gateway?.kill();
      await database?.drop();
      await rm(dataDir, { recursive: true, force: true });
    });

    const open = async (hash: string): Promise<void> => {
      await page.goto(`${gateway.url}/dashboard${hash}`);
    };
    const bodyRows = () => page.locator('tbody tr');
    const seen = (text: string | RegExp) => page.getByText(text).first().waitFor();

    /** Until what is shown answers what was asked last. */
    const answered = () => page.locator('.table-frame[aria-busy="false"]').waitFor();
    /** Does what filters the jobs, until they are shown. */
    const filter = async (query: RegExp, act: () => Promise<unknown>): Promise<void> => {
      const found = page.waitForResponse((answer) => query.test(new URL(answer.url()).search));
      await act();
      await found;
      await answered();
    };

    it('shows fifty nodes at a time, in order, and finds one', { timeout: 180_000 }, async () => {
      await open('#/overview');
      await seen('1–50 of 500');
      expect(await bodyRows().count()).toBe(50);
      expect(await bodyRows().first().textContent()).toContain('node-1http');
      await page.getByRole('button', { name: 'Next' }).click();
      await seen('51–100 of 500');
      await bodyRows().filter({ hasText: 'node-51http' }).waitFor();
      await page.getByRole('columnheader', { name: /^Node/ }).getByRole('button').click();
      await page.getByLabel('Filter nodes').fill('node-4');
      await seen('1–50 of 111');
      await bodyRows().first().getByText('node-499', { exact: true }).waitFor();
      await page.getByLabel('Filter nodes').fill('node-499');
      await page.waitForFunction(() => document.querySelectorAll('tbody tr').length === 1);
      await page.getByRole('button', { name: 'Drain node-499' }).click();
      await bodyRows().first().getByText('draining').waitFor();
      expect(await accessibilityFaults(page)).toEqual([]);
    });

    it('shows the history of the day', { timeout: 180_000 }, async () => {
      await open('#/overview');
      // The start makes the history up behind; the page asks again when that is done.
      const filled = page.waitForResponse(
        async (answer) => answer.url().includes('history=24h') && (await historyOf(answer)).at.length > 0,
      );
      await page.getByRole('button', { name: '24 hours' }).click();
      const { succeeded, at } = await historyOf(await filled);
      // All but those that ended before the day began, or in the minute that is not over.
      expect(succeeded.reduce((sum, one) => sum + one, 0)).toBeGreaterThan(98_000);
      expect(at.length).toBeLessThanOrEqual(1_440);
      await page.getByRole('img', { name: /100 waiting/ }).waitFor();
    });

    it('turns pages of jobs and filters them', { timeout: 180_000 }, async () => {
      await open('#/jobs');
      await seen('Page 1');
      await bodyRows().nth(49).waitFor();
      const idOf = (index: number): Promise<string | null> =>
        bodyRows().nth(index).locator('th').textContent();
      const [newest, last] = [await idOf(0), await idOf(49)];
      await page.getByRole('button', { name: 'Older' }).click();
      await seen('Page 2');
      await answered();
      expect(Number(`0x${last?.slice(-6)}`) + 1).toBe(Number(`0x${(await idOf(0))?.slice(-6)}`));
      await page.getByRole('button', { name: 'Newer' }).click();
      await seen('Page 1');
      await answered();
      expect(await idOf(0)).toBe(newest);

      await page.getByLabel('Status').selectOption('failed');
      await page.getByLabel('Container').fill('model-21');
      await filter(/status=failed.*container=model-21/, () => page.getByLabel('Container').press('Enter'));
      expect(
        await bodyRows()
          .filter({ hasText: /failed.*model-21/ })
          .count(),
      ).toBe(50);
      await page.getByLabel('Caller').fill('caller-99');
      await page.getByLabel('Caller').press('Enter');
      await seen('No job fits the filter.');
      await page.getByRole('link', { name: 'Clear' }).click();
      await filter(/node=/, () => page.getByLabel('Node').selectOption({ label: 'node-7' }));
      expect(await bodyRows().count()).toBe(50);
      await bodyRows().first().getByRole('link').click();
      await page
        .getByRole('dialog')
        .getByText(/sent to node-7/)
        .waitFor();
      expect(await accessibilityFaults(page)).toEqual([]);
    });

    it('explains for all nodes', { timeout: 180_000 }, async () => {
      await open('#/explain?container=model-0');
      await seen('Another job would wait; 100 wait now.');
      await seen('Page 1 of 10');
      expect(misdeeds).toEqual({ problems: [], foreign: [] });
    });
  },
);
