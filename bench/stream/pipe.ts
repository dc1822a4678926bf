import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';

/** The least that a proxy can do in Node: what the relay is measured against. Usage: pipe.ts <url of the node> */
const { hostname, port } = new URL(process.argv[2] as string);
const server = createServer((incoming, outgoing) => {
  const { method, url, headers } = incoming;
  const onward = request({ hostname, port, method, path: url, headers, agent: false }, (reply) => {
    outgoing.writeHead(reply.statusCode ?? 502, reply.headers);
    reply.pipe(outgoing);
  });
  incoming.pipe(onward);
});
server.listen(0, '127.0.0.1', () => {
  console.log(`listens on http://127.0.0.1:${(server.address() as AddressInfo).port}`);
});
