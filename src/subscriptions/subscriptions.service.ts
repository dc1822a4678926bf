import { Injectable } from '@nestjs/common';
import { Settings } from '../config/settings.js';
import { GatewayError } from '../errors.js';
import type { DelegatedRequest } from '../protocol/delegated-request.js';
import { inTime, LATE } from '../persistence/in-time.js';
import { AdmissionsRepository, type Admitted } from './admissions.repository.js';
import { Offering } from './offering.js';
import { SubscriptionNodes, type Refusal } from './subscription-nodes.js';

/** Takes delegated subscriptions from applications. */
@Injectable()
export class SubscriptionsService {
  constructor(
    private readonly nodes: SubscriptionNodes,
    private readonly admissions: AdmissionsRepository,
    private readonly offering: Offering,
    private readonly settings: Settings,
  ) {}

  /**
   * Accepts a delegated subscription durably, or refuses it as a node would. Resolves when it is committed and the
   * first node's answer is known, or after `ANSWER_WITHIN_MS` with it committed.
   * @throws GatewayError SHUTTING_DOWN; DATABASE_UNAVAILABLE when it was not committed in that time
   */
  async submit(request: DelegatedRequest, caller: string): Promise<Refusal | undefined> {
    if (this.offering.isStopping) throw new GatewayError('SHUTTING_DOWN', 'The gateway is shutting down');
    const refusal = this.nodes.refusalFor(request, Date.now());
    if (refusal !== undefined) return refusal;
    const deadline = Date.now() + this.settings.answerWithinMs;
    const admitted = await this.admitInTime(request, caller, deadline);
    if (admitted.kind === 'repeated') return undefined;
    const answer = await inTime(this.offering.begin(admitted.id, admitted.offers), deadline);
    return answer === LATE ? undefined : this.worded(answer, request);
  }

  /** A hash that no node knows fails at each of them; what is meant is that they have no such containers. */
  private worded(refusal: Refusal | undefined, { containers }: DelegatedRequest): Refusal | undefined {
    if (refusal?.status !== 400 || containers.form === '0.x') return refusal;
    if (this.nodes.containersOf(containers) !== undefined) return refusal;
    return { status: 405, error: 'Container not supported', params: { container: containers.hash } };
  }

  /** One that is committed later after all goes on; handing it in again does no harm. */
  private async admitInTime(request: DelegatedRequest, caller: string, deadline: number): Promise<Admitted> {
    const admission = this.admissions.admit(request, caller, (preferred) => this.choose(request, preferred));
    const admitted = await inTime(admission, deadline);
    if (admitted !== LATE) return admitted;
    void admission
      .then((late) => (late.kind === 'repeated' ? undefined : this.offering.begin(late.id, late.offers)))
      .catch(() => undefined);
    const message = 'The database does not answer; the subscription may not have been stored';
    throw new GatewayError('DATABASE_UNAVAILABLE', message);
  }

  private choose({ containers, redundancy }: DelegatedRequest, preferred: ReadonlySet<string>): string[] {
    const open = this.nodes
      .candidates(containers)
      .filter((candidate) => candidate.open)
      .map(({ nodeId }) => nodeId);
    const known = open.filter((nodeId) => preferred.has(nodeId));
    const others = open.filter((nodeId) => !preferred.has(nodeId));
    const chosen = [...known, ...others].slice(0, Math.max(1, redundancy));
    this.nodes.gave(chosen);
    return chosen;
  }
}
