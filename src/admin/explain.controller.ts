import { Controller, Get, UseGuards } from '@nestjs/common';
import { Scheduler } from '../dispatch/scheduler.js';
import { UNAVAILABLE } from '../dispatch/policy/explain.js';
import { ApiCall, Input, type AnswerOf, type InputOf } from '../http/api-call.js';
import { budgetOf } from '../lanes/node-status.js';
import { Fleet } from '../nodes/fleet.js';
import { AdminGuard } from './admin.guard.js';
import { explainCall, explanationSchema } from './explain-call.js';

/** Why jobs go where they go, or wait. */
@Controller('admin/explain')
@UseGuards(AdminGuard)
export class ExplainController {
  constructor(
    private readonly scheduler: Scheduler,
    private readonly fleet: Fleet,
  ) {}

  /** `container` is repeated for a chain, in its order. Nodes that may have the job first, soonest first. */
  @Get()
  @ApiCall(explainCall)
  explain(@Input() { query }: InputOf<typeof explainCall>): AnswerOf<typeof explanationSchema> {
    const { containers, choice, waiting, nodes } = this.scheduler.explain(query.container);
    const rows = nodes.map(({ nodeId, notEligible, ...rest }) => {
      const fleetNode = this.fleet.get(nodeId);
      const { url, name } = fleetNode?.config ?? { url: null, name: null };
      return {
        node: { id: nodeId, name, url },
        eligible: notEligible === undefined,
        reason:
          (notEligible === UNAVAILABLE || fleetNode?.config.approved === false
            ? fleetNode?.whyUnavailable
            : undefined) ??
          notEligible ??
          null,
        ...rest,
        budget: fleetNode === undefined ? {} : budgetOf(fleetNode),
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
