import { Controller, Get, Headers, Res, UseGuards } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { ApiCall } from '../http/api-call.js';
import { AdminGuard } from './admin.guard.js';
import { LiveUpdates } from './live-updates.js';
import { followEvents } from './stats-calls.js';

/** Live changes as server-sent events, for the dashboard and whoever else watches. */
@Controller('admin/events')
@UseGuards(AdminGuard)
export class EventsController {
  constructor(private readonly updates: LiveUpdates) {}

  /** Until the reader goes away; `Last-Event-ID` resumes. */
  @Get()
  @ApiCall(followEvents)
  follow(@Res() reply: FastifyReply, @Headers('last-event-id') lastId?: string): void {
    this.updates.refuseIfFull();
    reply.hijack();
    reply.raw.writeHead(200, {
      'content-type': 'text/event-stream',
      // Tells proxies in front to pass on each event as it comes.
      'x-accel-buffering': 'no',
    });
    this.updates.follow(reply.raw, /^\d{1,15}$/.test(lastId ?? '') ? Number(lastId) : undefined);
  }
}
