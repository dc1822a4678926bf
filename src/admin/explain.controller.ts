import { Controller, Get, UseGuards } from '@nestjs/common';
import { Scheduler } from '../dispatch/scheduler.js';
import { ELSEWHERE, UNAVAILABLE } from '../dispatch/policy/explain.js';
import { ApiCall, Input, type AnswerOf, type InputOf } from '../http/api-call.js';
import { budgetOf, whyUnavailable } from '../lanes/node-status.js';
import { Fleet } from '../nodes/fleet.js';
import type { FleetNode } from '../nodes/node.js';
import { Broadcast } from '../persistence/broadcast.js';
import { AdminGuard } from './admin.guard.js';
import { explainCall, explanationSchema } from './explain-call.js';

const UNLEASED = 'no replica holds its lease right now';

/** Why jobs go where they go, or wait. */
@Controller('admin/explain')
@UseGuards(AdminGuard)
export class ExplainController {
  constructor(
    private readonly scheduler: Scheduler,
    private readonly fleet: Fleet,
    private readonly broadcast: Broadcast,
  ) {}

  /**
   * `container` is repeated for a chain, in its order. Nodes that may have the job first, soonest first; then those of
   * other replicas that may have it for all that is known here.
   */
  @Get()
  @ApiCall(explainCall)
  explain(@Input() { query }: InputOf<typeof explainCall>): AnswerOf<typeof explanationSchema> {
    const { containers, choice, waiting, nodes } = this.scheduler.explain(query.container);
    const rows = nodes.map(({ nodeId, notEligible, ...rest }) => {
      const fleetNode = this.fleet.get(nodeId);
      const { url, name } = fleetNode?.config ?? { url: null, name: null };
      return {
        node: { id: nodeId, name, url },
        ...this.standingOf(fleetNode, notEligible),
        ...rest,
        budget: fleetNode === undefined ? {} : budgetOf(fleetNode),
      };
    });
    rows.sort(
      (a, b) =>
        rankOf(a.eligible) - rankOf(b.eligible) || (a.expectedMs ?? Infinity) - (b.expectedMs ?? Infinity),
    );
    const choiceName = choice === undefined ? undefined : this.fleet.get(choice)?.config.name;
    return {
      containers,
      choice: choice === undefined ? null : { id: choice, name: choiceName ?? null },
      waiting,
      nodes: rows,
    };
  }

  /** What the policy says, and what is known of the node besides. */
  private standingOf(node: FleetNode | undefined, notEligible: string | undefined): Standing {
    const isClosed =
      notEligible === UNAVAILABLE || notEligible === ELSEWHERE || node?.config.approved === false;
    const reason = (isClosed && node !== undefined ? whyUnavailable(node) : undefined) ?? notEligible;
    if (reason !== ELSEWHERE) return { eligible: reason === undefined, reason: reason ?? null };
    // Where no other replica is, this one has lost the lease, as it does while the database is away.
    const isAlone = this.broadcast.audience === 0;
    return isAlone ? { eligible: false, reason: UNLEASED } : { eligible: null, reason };
  }
}

interface Standing {
  readonly eligible: boolean | null;
  readonly reason: string | null;
}

function rankOf(eligible: boolean | null): number {
  return [true, null, false].indexOf(eligible);
}
