import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../../src/persistence/postgres-server.js';

const START_LIMIT_MS = 10_000;

/** nginx as a plain reverse proxy: one worker, connections kept on both sides, no log. */
export class Nginx {
  private constructor(
    readonly url: string,
    private readonly child: ChildProcess,
    private readonly folder: string,
  ) {}

  /** The program, or undefined where it is not installed. */
  static installed(): string | undefined {
    const folders = ['/usr/sbin', ...(process.env['PATH'] ?? '').split(':')];
    return folders.map((folder) => join(folder, 'nginx')).find((path) => existsSync(path));
  }

  /** @param node where it hands requests on to. @throws Error when it does not start */
  static async start(program: string, node: string): Promise<Nginx> {
    const folder = await mkdtemp(join(tmpdir(), 'infernet-gateway-nginx-'));
    const port = await freePort();
    const path = join(folder, 'nginx.conf');
    await writeFile(path, configuration(folder, port, new URL(node).host));
    const child = spawn(program, ['-e', join(folder, 'error.log'), '-c', path], { stdio: 'inherit' });
    const nginx = new Nginx(`http://127.0.0.1:${port}`, child, folder);
    const until = Date.now() + START_LIMIT_MS;
    while (!(await listensOn(port))) {
      if (child.exitCode !== null || Date.now() > until) {
        await nginx.stop();
        throw new Error('nginx did not start');
      }
      await sleep(50);
    }
    return nginx;
  }

  async stop(): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      const exited = once(this.child, 'exit');
      this.child.kill('SIGTERM');
      await exited;
    }
    await rm(this.folder, { recursive: true, force: true });
  }
}

function configuration(folder: string, port: number, node: string): string {
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `  ${name}_temp_path ${folder}/${name};`,
  );
  return `
daemon off;
worker_processes 1;
pid ${folder}/nginx.pid;
error_log ${folder}/error.log;
events { worker_connections 2048; }
http {
  access_log off;
  keepalive_requests 1000000000;
${temporary.join('\n')}
  upstream node { server ${node}; keepalive 64; keepalive_requests 1000000000; }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://node;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
    }
  }
}
`;
}

function listensOn(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true));
    socket.once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}
