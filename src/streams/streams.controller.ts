import { Controller, Post, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ApiCall } from '../http/api-call.js';
import { addressToForward, callerOf } from '../http/caller.js';
import { jsonBytes } from '../http/http-server.js';
import { isDelegated, parseSubmission } from '../protocol/submission.js';
import { streamJob } from './stream-call.js';
import { StreamsService } from './streams.service.js';

/** In a node's words. */
const NOT_FOR_SUBSCRIPTIONS = 'Streaming only supported for OffchainJob requests.';

/** The node API's stream call; docs/protocol.md §1. */
@Controller('api/jobs/stream')
export class StreamsController {
  constructor(private readonly streams: StreamsService) {}

  @Post()
  @ApiCall(streamJob)
  async stream(@Req() request: FastifyRequest, @Res() reply: FastifyReply): Promise<void> {
    const job = parseSubmission(jsonBytes(request.body, request.headers['content-type']));
    if (isDelegated(job)) return refuse(reply, 405, { error: NOT_FOR_SUBSCRIPTIONS });
    const caller = callerOf(request.ip);
    const from = { caller, address: addressToForward(caller) };
    const refusal = await this.streams.relay(job, from, reply.raw);
    // Else the relay has written to the connection itself, and Fastify must not.
    if (refusal === undefined) return void reply.hijack();
    const { status, error, params, retryAfterSeconds } = refusal;
    if (retryAfterSeconds !== undefined) void reply.header('retry-after', retryAfterSeconds);
    return refuse(reply, status, { error, params });
  }
}

function refuse(reply: FastifyReply, status: number, body: object): void {
  void reply
    .status(status)
    .type('application/json')
    .send(`${JSON.stringify(body)}\n`);
}
