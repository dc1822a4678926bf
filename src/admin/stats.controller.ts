import { Controller, Get, Query, UseGuards } from '@nestjs/common';
import { z } from 'zod';
import { Fleet } from '../nodes/fleet.js';
import { Sampler } from '../stats/sampler.js';
import { readQuery } from './admin-body.js';
import { AdminGuard } from './admin.guard.js';
import { historyView, periodView, totalsView } from './stats-view.js';

const HOUR_MS = 3_600_000;

const statsSchema = z.strictObject({ history: z.enum(['10m', '24h']).default('10m') });

/** Figures on the whole installation, whichever replica answers. */
@Controller('admin/stats')
@UseGuards(AdminGuard)
export class StatsController {
  constructor(
    private readonly sampler: Sampler,
    private readonly fleet: Fleet,
  ) {}

  /** `history` is of the last ten minutes in steps of 2 s, or of the last day in steps of a minute. */
  @Get()
  stats(@Query() query: unknown): object {
    const { history } = readQuery(statsSchema, query);
    const { sampler, fleet } = this;
    return {
      ...totalsView(sampler, fleet),
      lastHour: periodView(sampler.last(HOUR_MS)),
      lastDay: periodView(sampler.last(24 * HOUR_MS)),
      history: historyView(history === '24h' ? sampler.day : sampler.recent, sampler.at?.getTime() ?? 0),
    };
  }
}
