import { Controller, Get, Query, UseGuards } from '@nestjs/common';
import { z } from 'zod';
import { Dispatcher } from '../dispatch/dispatcher.js';
import { Fleet } from '../nodes/fleet.js';
import { readQuery } from './admin-body.js';
import { AdminGuard } from './admin.guard.js';

const container = z.string().min(1);

const explainSchema = z.strictObject({
  container: z.union([container.transform((one) => [one]), z.array(container).min(1)]),
});

/** Why jobs go where they go, or wait. */
@Controller('admin/explain')
@UseGuards(AdminGuard)
export class ExplainController {
  constructor(
    private readonly dispatcher: Dispatcher,
    private readonly fleet: Fleet,
  ) {}

  /** `container` is repeated for a chain, in its order. Nodes that may have the job first, soonest first. */
  @Get()
  explain(@Query() query: unknown): object {
    const { containers, choice, waiting, nodes } = this.dispatcher.explain(
      readQuery(explainSchema, query).container,
    );
    const rows = nodes.map(({ nodeId, notEligible, ...rest }) => {
      const { url, name } = this.fleet.get(nodeId)?.config ?? { url: null, name: null };
      return {
        node: { id: nodeId, name, url },
        eligible: notEligible === undefined,
        reason: notEligible ?? null,
        ...rest,
      };
    });
    rows.sort(
      (a, b) =>
        Number(b.eligible) - Number(a.eligible) || (a.expectedMs ?? Infinity) - (b.expectedMs ?? Infinity),
    );
    const choiceName = choice === undefined ? undefined : this.fleet.get(choice)?.config.name;
    return {
      containers,
      choice: choice === undefined ? null : { id: choice, name: choiceName ?? null },
      waiting,
      nodes: rows,
    };
  }
}
