import { Controller, Get, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { ApiCall } from '../http/api-call.js';
import { liveCall, readyCall } from './probe-calls.js';
import { Readiness } from './readiness.js';

/** For whatever supervises the process and balances load in front of it; open to everybody, so it says little. */
@Controller()
export class ProbesController {
  constructor(private readonly readiness: Readiness) {}

  /** The process runs and its event loop turns: an answer at all says so. If none comes, restart it. */
  @Get('live')
  @ApiCall(liveCall)
  live(@Res() reply: FastifyReply): void {
    send(reply, 200, { status: 'live' });
  }

  /** 200 while it should be sent requests, else 503; `checks` says what is missing. */
  @Get('ready')
  @ApiCall(readyCall)
  async ready(@Res() reply: FastifyReply): Promise<void> {
    const { ready, checks, nodes } = await this.readiness.report();
    send(reply, ready ? 200 : 503, { status: ready ? 'ready' : 'not ready', checks, nodes });
  }
}

function send(reply: FastifyReply, status: number, body: object): void {
  void reply
    .status(status)
    .header('cache-control', 'no-store')
    .type('application/json')
    .send(`${JSON.stringify(body)}\n`);
}
