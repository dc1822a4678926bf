import { Injectable, type CanActivate, type ExecutionContext } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { AdminToken } from '../admin/admin-token.js';
import { Settings } from '../config/settings.js';
import { GatewayError } from '../errors.js';

/** Lets pass who presents METRICS_TOKEN or the admin token as `Authorization: Bearer <token>`; everybody if so set. */
@Injectable()
export class MetricsGuard implements CanActivate {
  private readonly isOpen: boolean;
  private readonly tokens: readonly AdminToken[];

  constructor(settings: Settings, adminToken: AdminToken) {
    this.isOpen = settings.metricsAccess === 'open';
    const { metricsToken } = settings;
    this.tokens = metricsToken === undefined ? [adminToken] : [adminToken, new AdminToken(metricsToken)];
  }

  canActivate(context: ExecutionContext): boolean {
    if (this.isOpen) return true;
    const { authorization } = context.switchToHttp().getRequest<FastifyRequest>().headers;
    const presented = /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1];
    if (presented === undefined) {
      throw new GatewayError(
        'UNAUTHORIZED',
        'This call needs the header "Authorization: Bearer <METRICS_TOKEN>"',
      );
    }
    if (!this.tokens.some((token) => token.matches(presented))) {
      throw new GatewayError('UNAUTHORIZED', 'The token is wrong');
    }
    return true;
  }
}
