import { Controller, Get, Post, UseGuards } from '@nestjs/common';
import { ApiCall, Input, type InputOf } from '../http/api-call.js';
import { OperationsService } from '../jobs/operations.service.js';
import { AdminGuard } from './admin.guard.js';
import * as calls from './job-calls.js';
import { jobRow, jobView } from './job-view.js';

/** Operators' calls about jobs. */
@Controller('admin/jobs')
@UseGuards(AdminGuard)
export class AdminJobsController {
  constructor(private readonly operations: OperationsService) {}

  /** Newest first; `cursor` of one page asks for the next, and is null on the last. */
  @Get()
  @ApiCall(calls.listJobs)
  async list(
    @Input() { query }: InputOf<typeof calls.listJobs>,
  ): Promise<{ jobs: calls.JobRowView[]; cursor: string | null }> {
    const { cursor, limit, ...wanted } = query;
    const jobs = await this.operations.list(wanted, cursor, limit);
    return { jobs: jobs.map(jobRow), cursor: jobs.length === limit ? (jobs.at(-1)?.id ?? null) : null };
  }

  /** Retries every failed job that matches; `{}` means all. */
  @Post('retry')
  @ApiCall(calls.retryFailedJobs)
  async retryFailed(@Input() { body }: InputOf<typeof calls.retryFailedJobs>): Promise<{ retried: number }> {
    return { retried: await this.operations.retryFailed(body) };
  }

  @Get(':id')
  @ApiCall(calls.showJob)
  async show(@Input() { params }: InputOf<typeof calls.showJob>): Promise<calls.JobView> {
    return jobView(await this.operations.find(params.id));
  }

  @Post(':id/retry')
  @ApiCall(calls.retryJob)
  async retry(@Input() { params }: InputOf<typeof calls.retryJob>): Promise<calls.JobView> {
    return jobView(await this.operations.retry(params.id));
  }

  @Post(':id/cancel')
  @ApiCall(calls.cancelJob)
  async cancel(@Input() { params }: InputOf<typeof calls.cancelJob>): Promise<calls.JobView> {
    return jobView(await this.operations.cancel(params.id));
  }
}
