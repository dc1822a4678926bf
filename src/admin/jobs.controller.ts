import { Controller, Get, HttpCode, Param, Post, Query, Req, UseGuards } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import { OperationsService } from '../jobs/operations.service.js';
import { readBody, readQuery } from './admin-body.js';
import { AdminGuard } from './admin.guard.js';
import { jobRow, jobView } from './job-view.js';

const states = ['queued', 'sending', 'running', 'retrying', 'succeeded', 'failed', 'cancelled'] as const;

const filter = {
  node: z.uuid().optional(),
  container: z.string().min(1).optional(),
  caller: z.string().min(1).optional(),
};

const listSchema = z.strictObject({
  status: z.enum(states).optional(),
  ...filter,
  cursor: z.uuid().optional(),
  limit: z.coerce.number().int().min(1).max(1_000).default(100),
});

const retrySchema = z.strictObject(filter);

const idSchema = z.strictObject({ id: z.uuid() });

/** Operators' calls about jobs. */
@Controller('admin/jobs')
@UseGuards(AdminGuard)
export class AdminJobsController {
  constructor(private readonly operations: OperationsService) {}

  /** Newest first; `cursor` of one page asks for the next, and is null on the last. */
  @Get()
  async list(@Query() query: unknown): Promise<object> {
    const { cursor, limit, ...wanted } = readQuery(listSchema, query);
    const jobs = await this.operations.list(wanted, cursor, limit);
    return { jobs: jobs.map(jobRow), cursor: jobs.length === limit ? (jobs.at(-1)?.id ?? null) : null };
  }

  /** Retries every failed job that matches; `{}` means all. */
  @Post('retry')
  @HttpCode(200)
  async retryFailed(@Req() request: FastifyRequest): Promise<object> {
    const wanted = readBody(retrySchema, request.body, request.headers['content-type']);
    return { retried: await this.operations.retryFailed(wanted) };
  }

  @Get(':id')
  async show(@Param() params: unknown): Promise<object> {
    return jobView(await this.operations.find(readQuery(idSchema, params).id));
  }

  @Post(':id/retry')
  @HttpCode(200)
  async retry(@Param() params: unknown): Promise<object> {
    return jobView(await this.operations.retry(readQuery(idSchema, params).id));
  }

  @Post(':id/cancel')
  @HttpCode(200)
  async cancel(@Param() params: unknown): Promise<object> {
    return jobView(await this.operations.cancel(readQuery(idSchema, params).id));
  }
}
