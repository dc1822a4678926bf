import { Controller, Get, UseGuards } from '@nestjs/common';
import { ApiCall, Input, type AnswerOf, type InputOf } from '../http/api-call.js';
import { Fleet } from '../nodes/fleet.js';
import { Sampler } from '../stats/sampler.js';
import { AdminGuard } from './admin.guard.js';
import { showStats, type statsSchema } from './stats-calls.js';
import { historyView, periodView, totalsView } from './stats-view.js';

const HOUR_MS = 3_600_000;

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
  @ApiCall(showStats)
  stats(@Input() { query: { history } }: InputOf<typeof showStats>): AnswerOf<typeof statsSchema> {
    const { sampler, fleet } = this;
    return {
      ...totalsView(sampler, fleet),
      lastHour: periodView(sampler.last(HOUR_MS)),
      lastDay: periodView(sampler.last(24 * HOUR_MS)),
      history: historyView(history === '24h' ? sampler.day : sampler.recent, sampler.at?.getTime() ?? 0),
    };
  }
}
