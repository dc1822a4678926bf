import { Controller, Get, Res, UseGuards } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { ApiCall } from '../http/api-call.js';
import { PrometheusMetrics } from '../metrics/prometheus-metrics.js';
import { metricsCall } from './metrics-calls.js';
import { MetricsGuard } from './metrics.guard.js';

/** For Prometheus; docs/metrics.md lists what there is. */
@Controller('metrics')
@UseGuards(MetricsGuard)
export class MetricsController {
  constructor(private readonly metrics: PrometheusMetrics) {}

  @Get()
  @ApiCall(metricsCall)
  async read(@Res() reply: FastifyReply): Promise<void> {
    void reply.type(this.metrics.contentType).send(await this.metrics.text());
  }
}
