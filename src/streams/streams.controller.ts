import { Controller, Post, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ApiCall } from '../http/api-call.js';
import { addressToForward, callerOf } from '../http/caller.js';
import { jsonBytes } from '../http/http-server.js';
import { parseJobRequest } from '../protocol/job-request.js';
import { streamJob } from './stream-call.js';
import { StreamsService } from './streams.service.js';

/** The node API's stream call; docs/protocol.md §1. */
@Controller('api/jobs/stream')
export class StreamsController {
  constructor(private readonly streams: StreamsService) {}

  @Post()
  @ApiCall(streamJob)
  async stream(@Req() request: FastifyRequest, @Res() reply: FastifyReply): Promise<void> {
    const job = parseJobRequest(jsonBytes(request.body, request.headers['content-type']));
    const from = { caller: callerOf(request.ip), address: addressToForward(request.ip) };
    const refusal = await this.streams.relay(job, from, reply.raw);
    // Else the relay has written to the connection itself, and Fastify must not.
    if (refusal === undefined) return void reply.hijack();
    const { status, error, params, retryAfterSeconds } = refusal;
    if (retryAfterSeconds !== undefined) void reply.header('retry-after', retryAfterSeconds);
    void reply
      .status(status)
      .type('application/json')
      .send(`${JSON.stringify({ error, params })}\n`);
  }
}
