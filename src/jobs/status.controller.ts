import { Controller, Put, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { GatewayError } from '../errors.js';
import { ApiCall } from '../http/api-call.js';
import { callerOf, isLocal } from '../http/caller.js';
import { bytesOfBody } from '../http/http-server.js';
import { bearerToken, OperatorToken } from '../http/operator-token.js';
import { parseStatusRequest } from '../protocol/status-request.js';
import { RecordedStatusesRepository } from './recorded-statuses.repository.js';
import { recordStatus } from './status-call.js';

/** Records the status of a job that ran elsewhere, for those who are near; docs/protocol.md §1. */
@Controller('api/status')
export class StatusController {
  constructor(
    private readonly statuses: RecordedStatusesRepository,
    private readonly operator: OperatorToken,
  ) {}

  /** Any content type will do, as at a node. */
  @Put()
  @ApiCall(recordStatus)
  async record(@Req() request: FastifyRequest, @Res() reply: FastifyReply): Promise<void> {
    const token = bearerToken(request.headers.authorization);
    const isOperator = token !== undefined && this.operator.matches(token);
    if (!isOperator && !isLocal(request.ip)) throw new GatewayError('NOT_LOCAL', 'Unauthorized');
    const status = parseStatusRequest(bytesOfBody(request.body));
    if (!(await this.statuses.record(callerOf(request.ip), status))) {
      throw new GatewayError('JOB_OF_GATEWAY', 'The gateway keeps the status of this job itself', {
        id: status.id,
      });
    }
    void reply.status(200).type('application/json').send('null\n');
  }
}
