import { execFile, spawnSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { environmentSchema, readSettings } from '../../src/config/settings.js';
import { hasTool } from '../support/requirements.js';

const ROOT = join(import.meta.dirname, '../..');
const ENVIRONMENT = { ADMIN_TOKEN: 'a-token-that-is-long-enough', POSTGRES_PASSWORD: 'secret' };

interface Service {
  readonly environment?: Record<string, string>;
  readonly ports?: string[];
  readonly command?: string[];
  readonly healthcheck?: object;
  readonly volumes?: string[];
  readonly depends_on?: Record<string, { condition: string }>;
  readonly stop_grace_period?: string;
}

async function services(): Promise<Record<string, Service>> {
  const file = parse(await readFile(join(ROOT, 'docker-compose.yml'), 'utf8')) as {
    services: Record<string, Service>;
  };
  return file.services;
}

/** A text of the compose file with its variables filled in as an engine does. */
function filled(text: string): string {
  return text.replace(
    /\$\{(\w+)(?::([-?])([^}]*))?\}/g,
    (_, name: keyof typeof ENVIRONMENT, kind, otherwise) => {
      return ENVIRONMENT[name] ?? (kind === '-' ? (otherwise as string) : '');
    },
  );
}

/** The compose command of this machine; it needs no engine to check a file. */
function composeCommand(): string[] | undefined {
  if (spawnSync('docker', ['compose', 'version']).status === 0) return ['docker', 'compose'];
  return hasTool('docker-compose', 'the schema of the compose files') ? ['docker-compose'] : undefined;
}

describe('docker-compose.yml', () => {
  it('gives the gateway settings that exist and can be used', async () => {
    const { gateway } = await services();
    const given = Object.entries(gateway?.environment ?? {}).map(
      ([name, text]) => [name, filled(text)] as const,
    );
    for (const [name] of given) expect(Object.keys(environmentSchema.shape)).toContain(name);
    const settings = readSettings(Object.fromEntries(given));
    expect(settings.databaseUrl).toBe('postgresql://gateway:secret@postgres:5432/gateway');
    // All budgets of a stop together, as docs/observability.md adds them up.
    expect(Number.parseInt(gateway?.stop_grace_period ?? '', 10) * 1_000).toBeGreaterThan(
      settings.shutdownGraceMs + 2 * settings.shutdownBudgetMs + 65_000,
    );
  });

  it('lets any number of gateways run: only the balancer has a port on the host', async () => {
    const published = Object.entries(await services()).filter(([, { ports }]) => ports !== undefined);
    expect(published.map(([name]) => name)).toEqual(['balancer']);
  });

  it('keeps what must be kept, and starts in order', async () => {
    const { gateway, postgres, redis } = await services();
    expect(redis?.command?.join(' ')).toBe('redis-server --appendonly yes --maxmemory-policy noeviction');
    for (const service of [postgres, redis]) {
      expect(service?.healthcheck).toBeDefined();
      expect(service?.volumes).toHaveLength(1);
    }
    expect(gateway?.depends_on).toEqual({
      postgres: { condition: 'service_healthy' },
      redis: { condition: 'service_healthy' },
    });
  });

  const compose = composeCommand();
  it.skipIf(compose === undefined)('is what compose expects, alone and for development', async () => {
    const [program = '', ...words] = compose ?? [];
    const environment = { PATH: process.env['PATH'] ?? '', HOME: process.env['HOME'] ?? '/', ...ENVIRONMENT };
    for (const files of [[], ['-f', 'docker-compose.yml', '-f', 'docker-compose.dev.yml']]) {
      const args = [...words, ...files, 'config', '--quiet'];
      await promisify(execFile)(program, args, { cwd: ROOT, env: environment });
    }
    const without = { ...environment, ADMIN_TOKEN: '' };
    const refused = promisify(execFile)(program, [...words, 'config', '--quiet'], {
      cwd: ROOT,
      env: without,
    });
    await expect(refused).rejects.toThrow('set it in .env to at least 16 characters');
  });
});
