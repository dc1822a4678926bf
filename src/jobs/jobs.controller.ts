import { Controller, Get, Post, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Settings } from '../config/settings.js';
import { ApiCall } from '../http/api-call.js';
import { callerOf } from '../http/caller.js';
import { bytesOfBody, jsonBytes } from '../http/http-server.js';
import { preferredWaitSeconds } from '../http/prefer-wait.js';
import { readJobs, submitBatch, submitJob } from './job-calls.js';
import { parseBatch, parseSubmission } from '../protocol/submission.js';
import { JobsService } from './jobs.service.js';

/** The node API's job calls, with a node's exact shapes; docs/protocol.md §1. */
@Controller('api/jobs')
export class JobsController {
  constructor(
    private readonly jobs: JobsService,
    private readonly settings: Settings,
  ) {}

  @Post()
  @ApiCall(submitJob)
  async submit(@Req() request: FastifyRequest, @Res() reply: FastifyReply): Promise<void> {
    const submission = parseSubmission(jsonBytes(request.body, request.headers['content-type']));
    const answer = await this.jobs.submit(submission, callerOf(request.ip));
    if ('receipt' in answer) return sendJson(reply, 200, answer.receipt);
    const { status, error, params } = answer.refusal;
    return sendJson(reply, status, { error, params });
  }

  @Post('batch')
  @ApiCall(submitBatch)
  async submitBatch(@Req() request: FastifyRequest, @Res() reply: FastifyReply): Promise<void> {
    const items = parseBatch(bytesOfBody(request.body));
    return sendJson(reply, 200, await this.jobs.submitBatch(items, callerOf(request.ip)));
  }

  @Get()
  @ApiCall(readJobs)
  async read(@Req() request: FastifyRequest, @Res() reply: FastifyReply): Promise<void> {
    const query = request.query as Readonly<Record<string, string | string[] | undefined>>;
    const caller = callerOf(request.ip);
    if (query['id'] === undefined) {
      const { pending: word } = query;
      const pending = word === 'true' ? true : word === 'false' ? false : undefined;
      return sendJson(reply, 200, await this.jobs.ids(caller, pending));
    }
    const waitSeconds = preferredWaitSeconds(request.headers['prefer'], this.settings.maxWaitSeconds);
    const body = await this.jobs.results(caller, [query['id']].flat(), {
      intermediate: query['intermediate'] === 'true',
      waitMs: waitSeconds * 1_000,
    });
    if (waitSeconds > 0) void reply.header('preference-applied', `wait=${waitSeconds}`);
    void reply.status(200).type('application/json').send(body);
  }
}

/** As a node writes JSON: compact, with a newline at the end. */
function sendJson(reply: FastifyReply, status: number, body: unknown): void {
  void reply
    .status(status)
    .type('application/json')
    .send(`${JSON.stringify(body)}\n`);
}
