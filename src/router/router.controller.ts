import { Controller, Get, Header, Query, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { ApiCall } from '../http/api-call.js';
import { containersCall, ipsCall, resourcesByAddressCall } from './router-calls.js';
import { RouterService } from './router.service.js';

const NODES_BY_DEFAULT = 3;

type Parameter = string | string[] | undefined;

/** The Infernet Router API, for clients that look for nodes of their own; docs/protocol.md §3. */
@Controller('api/v1')
export class RouterController {
  constructor(private readonly router: RouterService) {}

  /** An `n` or `offset` that is no count is ignored, as the reference router does. */
  @Get('ips')
  @ApiCall(ipsCall)
  ips(
    @Res() reply: FastifyReply,
    @Query('container') container: Parameter,
    @Query('n') n: Parameter,
    @Query('offset') offset: Parameter,
  ): void {
    const containers = [container ?? []].flat();
    if (containers.length === 0) {
      sendJson(reply, 400, { error: 'No containers specified' });
      return;
    }
    const page = { n: countOf(n) ?? NODES_BY_DEFAULT, offset: countOf(offset) ?? 0 };
    sendJson(reply, 200, this.router.addresses(containers, page));
  }

  @Get('containers')
  @ApiCall(containersCall)
  containers(@Res() reply: FastifyReply): void {
    sendJson(reply, 200, this.router.containers());
  }

  @Get('resources')
  @ApiCall(resourcesByAddressCall)
  @Header('content-type', 'application/json')
  async resources(@Query('model_id') modelId: Parameter): Promise<Buffer> {
    return this.router.resourcesByAddress([modelId].flat()[0]);
  }
}

/** Of a repeated parameter the first counts. */
function countOf(parameter: Parameter): number | undefined {
  const text = [parameter].flat()[0] ?? '';
  return /^\d{1,9}$/.test(text) ? Number(text) : undefined;
}

function sendJson(reply: FastifyReply, status: number, body: unknown): void {
  void reply
    .status(status)
    .type('application/json')
    .send(`${JSON.stringify(body)}\n`);
}
