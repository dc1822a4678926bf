import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, BrowserContext, Page, Route } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EmulatedNode } from '../../src/emulator/emulated-node.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { GatewayProcess } from '../support/gateway-process.js';
import { json, send } from '../support/http.js';
import { hasTool } from '../support/requirements.js';
import { StreamCaller } from '../support/stream-caller.js';
import { waitUntil } from '../support/wait.js';
import {
  accessibilityFaults,
  CHROMIUM,
  startBrowser,
  watch,
  weakContrasts,
  type Misdeeds,
} from './browser.js';

const TOKEN = 'an-admin-token-of-the-browser';
/** A busy machine is slow to paint. */
const PATIENCE_MS = 30_000;

describe.skipIf(!hasTool(CHROMIUM, 'the dashboard in a browser'))(
  'the dashboard',
  { timeout: 120_000 },
  () => {
    let dataDir: string;
    let database: TestDatabase;
    let gateway: GatewayProcess;
    let node: EmulatedNode;
    let stranger: EmulatedNode;
    /** Ports of the nodes that the explorer names. */
    let announced: number[];
    let explorer: Server;
    let browser: Browser;
    let context: BrowserContext;
    let page: Page;
    let misdeeds: Misdeeds;

    const settings = (): Record<string, string> => ({
      DATABASE_URL: database.url,
      DATA_DIR: dataDir,
      ADMIN_TOKEN: TOKEN,
      PROBE_INTERVAL_MS: '200',
      NODE_EXPLORER_URL: `http://127.0.0.1:${(explorer.address() as AddressInfo).port}`,
      EXPLORER_INTERVAL_MS: '200',
      SHUTDOWN_BUDGET_MS: '500',
    });

    beforeAll(async () => {
      dataDir = await mkdtemp(join(tmpdir(), 'infernet-gateway-browser-'));
      database = await createTestDatabase();
      announced = [];
      explorer = createServer((_, response) => {
        const data = announced.map((port) => ({ ip: '127.0.0.1', port }));
        response.end(JSON.stringify({ data }));
      }).listen(0, '127.0.0.1');
      await once(explorer, 'listening');
      gateway = await GatewayProcess.start(settings());
      node = await EmulatedNode.start({ name: 'oslo', rateLimit: false, slots: 2 });
      stranger = await EmulatedNode.start({ rateLimit: false });
      browser = await startBrowser();
      context = await browser.newContext({ viewport: { width: 1_600, height: 1_000 } });
      context.setDefaultTimeout(PATIENCE_MS);
      misdeeds = watch(context, gateway.url);
      page = await context.newPage();
    }, 120_000);

    afterAll(async () => {
      await browser?.close();
      await gateway?.kill();
      await Promise.all([node?.stop(), stranger?.stop()]);
      explorer?.closeAllConnections();
      explorer?.close();
      await database?.drop();
      await rm(dataDir, { recursive: true, force: true });
    });

    const open = async (hash: string): Promise<void> => {
      await page.goto(`${gateway.url}/dashboard${hash}`);
    };
    const button = (name: string) => page.getByRole('button', { name, exact: true });
    const dialog = (name: string | RegExp) => page.getByRole('dialog', { name });
    const row = (text: string) => page.getByRole('row').filter({ hasText: text });
    const seen = (text: string | RegExp) => page.getByText(text).first().waitFor();
    const submit = async (containers: string[], data: object = {}): Promise<string> => {
      const body = JSON.stringify({ containers, data });
      const headers = { 'content-type': 'application/json' };
      return json<{ id: string }>(await send(`${gateway.url}/api/jobs`, { method: 'POST', headers, body }))
        .id;
    };
    const admin = async <T>(path: string): Promise<T> =>
      json<T>(await send(`${gateway.url}/admin${path}`, { headers: { authorization: `Bearer ${TOKEN}` } }));
    const stateOf = async (id: string): Promise<string> =>
      (await admin<{ state: string }>(`/jobs/${id}`)).state;
    const isSound = async (): Promise<void> => expect(await accessibilityFaults(page)).toEqual([]);

    it('asks for the token, and takes the right one only', async () => {
      await open('');
      await isSound();
      await page.getByLabel('Admin token').fill('not-the-admin-token');
      await button('Sign in').click();
      await seen('This is not the admin token of this gateway');
      await page.getByLabel('Admin token').fill(TOKEN);
      await page.keyboard.press('Enter');
      await seen('No nodes yet');
      await page.reload();
      await seen('Live');
      expect(await context.cookies()).toEqual([]);
      await isSound();
    });

    it('registers a node, and says what is wrong with an address', async () => {
      await button('Register a node').click();
      const form = dialog('Register a node');
      await form.getByLabel('Address').fill('ftp://nowhere');
      await form.getByRole('button', { name: 'Register' }).click();
      await form.getByRole('alert').waitFor();
      await isSound();
      await form.getByLabel('Address').fill(node.url);
      await form.getByLabel('Name').fill('oslo');
      await form.getByRole('button', { name: 'Register' }).click();
      await form.waitFor({ state: 'detached' });
      await row('oslo').getByText('up', { exact: true }).waitFor();
      await seen('oslo is registered and up');
      // The focus is back where it was.
      expect(await page.evaluate(() => document.activeElement?.textContent)).toBe('Register a node');
    });

    it('shows jobs as they arrive and end', async () => {
      const ids = await Promise.all(Array.from({ length: 5 }, () => submit(['echo'], { a: 1 })));
      await page
        .getByRole('img', { name: /^Throughput over time: now 0\.\d+\/s, 100 % succeeded/ })
        .waitFor();
      await page.getByRole('link', { name: 'Jobs', exact: true }).click();
      for (const id of ids) await row(id).getByText('succeeded').waitFor();
      const late = await submit(['echo']);
      await row(late).getByText('succeeded').waitFor();
      await isSound();
    });

    it('drains a node, explains why jobs wait, and cancels one', async () => {
      await page.getByRole('link', { name: 'Overview' }).click();
      await button('Drain oslo').click();
      await row('oslo').getByText('draining').waitFor();
      const id = await submit(['echo']);
      await page.getByRole('img', { name: /1 waiting/ }).waitFor();
      await open(`#/jobs?status=queued&job=${id}`);
      const job = dialog('Job');
      await job.getByRole('link', { name: 'Why does it wait?' }).click();
      await seen('Another job would wait; 1 waits now.');
      await row('oslo').getByText(/^no: /).waitFor();
      await isSound();
      await page.goBack();
      await job.getByRole('button', { name: 'Cancel the job' }).click();
      await dialog('Cancel this job?').getByRole('button', { name: 'Cancel the job' }).click();
      await job.getByText('cancelled', { exact: true }).waitFor();
      expect(await stateOf(id)).toBe('cancelled');
      await page.keyboard.press('Escape');
      await job.waitFor({ state: 'detached' });
      await seen('No job fits the filter.');
    });

    it('filters nodes by container after one was acted upon', async () => {
      await page.getByRole('link', { name: 'Overview' }).click();
      const filter = page.getByLabel('Filter nodes');
      await filter.fill('echo');
      await row('oslo').getByText('draining').waitFor();
      await filter.fill('no-such-container');
      await seen('No node fits the filter.');
      await filter.fill('');
      await row('oslo').waitFor();
    });

    it('resumes a node, and changes its weight and cap', async () => {
      await page.getByRole('link', { name: 'Overview' }).click();
      await button('Resume oslo').click();
      await row('oslo').getByText('up', { exact: true }).waitFor();
      await button('Edit oslo').click();
      const form = dialog('Edit oslo');
      expect(await form.getByLabel('Address').inputValue()).toBe(node.url);
      await form.getByLabel('Weight').fill('2.5');
      await form.getByLabel('Cap').fill('7');
      // What is typed stays, whatever changes meanwhile.
      const headers = { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' };
      const [known] = (await admin<{ nodes: { id: string }[] }>('/nodes')).nodes;
      await send(`${gateway.url}/admin/nodes/${known?.id}`, {
        method: 'PATCH',
        headers,
        body: '{"weight":9}',
      });
      await page.locator('td', { hasText: /^9no cap$/ }).waitFor();
      expect(await form.getByLabel('Weight').inputValue()).toBe('2.5');
      await form.getByRole('button', { name: 'Save' }).click();
      await row('oslo').getByText('cap 7').waitFor();
      const { nodes } = await admin<{ nodes: object[] }>('/nodes');
      expect(nodes).toMatchObject([{ weight: 2.5, maxInFlight: 7 }]);
      await button('Edit oslo').click();
      await form.getByLabel('Cap').fill('');
      await form.getByRole('button', { name: 'Save' }).click();
      await row('oslo').getByText('no cap').waitFor();
    });

    it('opens the timeline of a job, and retries it', async () => {
      const id = await submit(['always-fails']);
      await waitUntil('it failed', async () => (await stateOf(id)) === 'failed');
      await open('#/jobs');
      await page.getByLabel('Status').selectOption('failed');
      await row(id).getByRole('link').click();
      const job = dialog('Job');
      await job.getByText(/Attempt 1: sent to oslo/).waitFor();
      await job.getByText('Attempt 1: failed on oslo: the container failed').waitFor();
      await job.getByText(/this container always fails/).waitFor();
      await isSound();
      await job.getByRole('button', { name: 'Retry' }).click();
      await job.getByText(/Attempt 2: failed on oslo/).waitFor();
      await job.getByText('2, started anew once').waitFor();
      await page.keyboard.press('Escape');
      await button('Retry all that match').click();
      await dialog('Retry all failed jobs that match?').getByRole('button', { name: 'Retry all' }).click();
      await waitUntil('it went again', async () => {
        const { attempts, state } = await admin<{ attempts: unknown[]; state: string }>(`/jobs/${id}`);
        return attempts.length === 3 && state === 'failed';
      });
    });

    it('offers no retry of a stream, which nobody would hear', async () => {
      const caller = StreamCaller.start(gateway.url, ['always-fails'], {});
      await caller.ended;
      await open('#/jobs?container=always-fails');
      const id = await waitUntil('the stream is known', async () => {
        const { jobs } = await admin<{ jobs: { id: string; kind: string; state: string }[] }>('/jobs');
        return jobs.find(({ kind, state }) => kind === 'stream' && state === 'failed')?.id;
      });
      await open(`#/jobs?job=${id}`);
      await dialog('Job').getByText('Attempt 1: failed on oslo').first().waitFor();
      expect(await dialog('Job').getByRole('button', { name: 'Retry' }).count()).toBe(0);
      await page.keyboard.press('Escape');
      await dialog('Job').waitFor({ state: 'detached' });
    });

    it('keeps the focus and what is typed while jobs are filtered', async () => {
      await open('#/jobs');
      await page.getByLabel('Container').click();
      await page.keyboard.type('always-fails');
      await page.keyboard.press('Tab');
      await page.waitForURL(/container=always-fails/);
      await page.keyboard.type('nobody');
      expect(await page.getByLabel('Caller').inputValue()).toBe('nobody');
      await page.keyboard.press('Enter');
      await seen('No job fits the filter.');
      await page.getByRole('link', { name: 'Clear' }).click();
      await page.waitForURL(/#\/jobs$/);
      await page.waitForFunction(
        () => document.querySelector<HTMLInputElement>('input[name="container"]')?.value === '',
      );
      await open('#/explain');
      await page.getByLabel('Containers').click();
      await page.keyboard.type('echo');
      await page.keyboard.press('Enter');
      await page.getByRole('table', { name: 'Nodes for echo' }).waitFor();
      await page.keyboard.type('-two');
      expect(await page.getByLabel('Containers').inputValue()).toBe('echo-two');
    });

    it('keeps a form whose text is selected beyond its edge', async () => {
      await page.getByRole('link', { name: 'Overview' }).click();
      await button('Edit oslo').click();
      const form = dialog('Edit oslo');
      const field = await form.getByLabel('Address').boundingBox();
      const edge = await form.boundingBox();
      if (field === null || edge === null) throw new Error('the form has no place');
      await page.mouse.move(field.x + 20, field.y + field.height / 2);
      await page.mouse.down();
      await page.mouse.move(edge.x - 20, field.y + field.height / 2);
      await page.mouse.up();
      expect(await form.getByLabel('Address').isVisible()).toBe(true);
      await page.mouse.click(edge.x - 20, field.y);
      await form.waitFor({ state: 'detached' });
    });

    it('finds a job by its id', async () => {
      const id = await submit(['echo']);
      await open('#/jobs');
      const field = page.getByLabel('Find a job by its id');
      await field.fill('12');
      await field.press('Enter');
      await seen('A job id has 32 digits in five groups');
      await field.fill(id.toUpperCase());
      await field.press('Enter');
      await dialog('Job').getByText(id).waitFor();
      await open('#/jobs?job=00000000-0000-7000-8000-000000000000');
      await seen('There is no job 00000000-0000-7000-8000-000000000000');
    });

    it('drops an answer that comes after the next question', async () => {
      const held: Route[] = [];
      let isHolding = true;
      const hold = async (route: Route): Promise<void> => {
        if (isHolding) held.push(route);
        else await route.continue();
      };
      const table = (of: string) => page.getByRole('table', { name: `Nodes for ${of}` });
      await page.route(/explain\?container=slow/, hold);
      await open('#/explain?container=slow');
      await waitUntil('the first question was asked', () => held.length > 0);
      await open('#/explain?container=echo');
      await table('echo').waitFor();
      await page.route(/explain\?container=echo/, hold);
      const late = page.waitForResponse(/container=slow/);
      await held[0]?.continue();
      await (await late).finished();
      await page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 200)));
      await table('echo').waitFor();
      expect(await table('slow').count()).toBe(0);
      isHolding = false;
      await Promise.all(held.slice(1).map((route) => route.continue()));
      await page.unrouteAll();
    });

    it('is used on a small screen and in the dark', async () => {
      const widthOf = (): Promise<number> => page.evaluate(() => document.documentElement.scrollWidth);
      await page.setViewportSize({ width: 400, height: 800 });
      for (const hash of ['#/overview', '#/jobs', '#/explain?container=echo']) {
        await open(hash);
        await page.getByRole('heading', { level: 2 }).first().waitFor();
        expect(await widthOf(), hash).toBe(400);
      }
      await page.setViewportSize({ width: 1_600, height: 1_000 });
      expect(await weakContrasts(page, 'light')).toEqual([]);
      expect(await weakContrasts(page, 'dark')).toEqual([]);
      await page.emulateMedia({ colorScheme: 'light' });
    });

    it('says when the gateway is away, and goes on when it is back', async () => {
      await open('#/overview');
      await row('oslo').getByText('up', { exact: true }).waitFor();
      const { port } = new URL(gateway.url);
      await gateway.kill();
      await seen('No connection to the gateway.');
      await button('Drain oslo').click();
      await seen('The gateway does not answer');
      await button('Remove oslo').click();
      const ask = dialog('Remove oslo?');
      await ask.getByRole('button', { name: 'Remove' }).click();
      await ask.getByRole('alert').getByText('The gateway does not answer').waitFor();
      await ask.getByRole('button', { name: 'Keep' }).click();
      gateway = await GatewayProcess.start({ ...settings(), PORT: port });
      await page.getByText('No connection to the gateway.').waitFor({ state: 'detached' });
      // Ten minutes and a node that another process knew.
      await page.getByRole('img', { name: /^Throughput over time/ }).waitFor();
      await row('oslo').getByText('up', { exact: true }).waitFor();
    });

    it('removes a node after asking', async () => {
      await button('Remove oslo').click();
      const ask = dialog('Remove oslo?');
      await ask.getByRole('button', { name: 'Keep' }).click();
      await button('Remove oslo').click();
      await ask.getByLabel('Remove it now, and give its jobs to other nodes').check();
      await ask.getByRole('button', { name: 'Remove' }).click();
      await seen('No nodes yet');
    });

    it('approves a stranger that an explorer names', async () => {
      announced = [stranger.port];
      const name = `127.0.0.1:${stranger.port}`;
      await row(name).getByText('waits for approval').waitFor();
      await button(`Approve ${name}`).click();
      await row(name).getByText('up', { exact: true }).waitFor();
      await seen(`${name} is approved`);
    });

    it('signs out, and asks again when the token is not accepted any more', async () => {
      await button('Sign out').click();
      await page.getByLabel('Admin token').waitFor();
      await page.reload();
      await page.getByLabel('Admin token').waitFor();
      await page.evaluate(() =>
        sessionStorage.setItem('infernet-gateway-admin-token', 'an-older-admin-token'),
      );
      await page.reload();
      await seen('The token is not accepted any more');
    });

    it('asked nobody but the gateway, and met no errors', () => {
      expect(misdeeds).toEqual({ problems: [], foreign: [] });
    });
  },
);
