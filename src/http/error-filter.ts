import { Catch, HttpException, Logger, type ArgumentsHost, type ExceptionFilter } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { GatewayError } from '../errors.js';
import { BODY_LIMIT_BYTES } from '../protocol/job-request.js';
import { isDatabaseUnavailable } from '../persistence/database-errors.js';
import { errorBody, type Problem } from './error-body.js';
import { requestFieldsOf } from './request-log.js';
import { RETRY_AFTER_SECONDS, STATUS } from './status.js';

const PAYLOAD_TOO_LARGE: number = STATUS.BODY_TOO_LARGE;

/** Renders every error of the application; see `errorBody`. */
@Catch()
export class ErrorFilter implements ExceptionFilter {
  private readonly log = new Logger(ErrorFilter.name);

  catch(error: unknown, host: ArgumentsHost): void {
    const request = host.switchToHttp().getRequest<FastifyRequest>();
    const reply = host.switchToHttp().getResponse<FastifyReply>();
    const problem = problemOf(error);
    if (problem.status >= 500) this.log.error({ err: error, ...requestFieldsOf(request) }, problem.message);
    if (reply.sent) return;
    if (problem.status === 503) void reply.header('retry-after', RETRY_AFTER_SECONDS);
    if (problem.status === 401) void reply.header('www-authenticate', 'Bearer');
    const { type, body } = errorBody(request.url, problem);
    void reply.status(problem.status).type(type).send(body);
  }
}

function problemOf(error: unknown): Problem {
  if (error instanceof GatewayError) {
    return { status: STATUS[error.code], code: error.code, message: error.message, params: error.params };
  }
  if (isDatabaseUnavailable(error)) {
    const message = 'The database is not available; nothing was stored';
    return { status: 503, code: 'DATABASE_UNAVAILABLE', message, params: {} };
  }
  if (error instanceof HttpException && error.getStatus() === PAYLOAD_TOO_LARGE) {
    const message = `The body is larger than ${BODY_LIMIT_BYTES} bytes`;
    return { status: STATUS.BODY_TOO_LARGE, code: 'BODY_TOO_LARGE', message, params: { field: 'body' } };
  }
  if (error instanceof HttpException) {
    return { status: error.getStatus(), code: 'HTTP_ERROR', message: error.message, params: {} };
  }
  return { status: 500, code: 'INTERNAL_ERROR', message: 'Internal server error', params: {} };
}
