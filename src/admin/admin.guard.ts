import { Injectable, type CanActivate, type ExecutionContext } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { GatewayError } from '../errors.js';
import { bearerToken } from '../http/operator-token.js';
import { AdminToken } from './admin-token.js';

/** Lets pass who presents the admin token as `Authorization: Bearer <token>`. */
@Injectable()
export class AdminGuard implements CanActivate {
  constructor(private readonly token: AdminToken) {}

  canActivate(context: ExecutionContext): boolean {
    const { authorization } = context.switchToHttp().getRequest<FastifyRequest>().headers;
    const presented = bearerToken(authorization);
    if (presented === undefined) {
      throw new GatewayError(
        'UNAUTHORIZED',
        'This call needs the header "Authorization: Bearer <ADMIN_TOKEN>"',
      );
    }
    if (!this.token.matches(presented)) throw new GatewayError('UNAUTHORIZED', 'The admin token is wrong');
    return true;
  }
}
