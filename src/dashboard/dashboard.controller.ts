import { Controller, Get, Headers, Param, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { GatewayError } from '../errors.js';
import { ApiCall, apiCall } from '../http/api-call.js';
import { PageFiles, type PageFile } from './page-files.js';

const pageCall = apiCall({
  chapter: 'Operations',
  summary: 'The dashboard',
  answers: { 200: { description: 'A page that loads nothing from elsewhere.', contentType: 'text/html' } },
});

/** What the dashboard's page asks of the gateway is behind the token; the page itself holds no secrets and is open. */
@Controller('dashboard')
export class DashboardController {
  private readonly policy: string;

  constructor(private readonly files: PageFiles) {
    this.policy = files.contentSecurityPolicy;
  }

  @Get()
  @ApiCall(pageCall)
  index(@Headers() headers: RequestHeaders, @Res() reply: FastifyReply): void {
    this.send(this.files.index, headers, reply);
  }

  @Get('*')
  file(@Param('*') path: string, @Headers() headers: RequestHeaders, @Res() reply: FastifyReply): void {
    // Addresses in the page are relative to one without a slash at its end.
    if (path === '') return void reply.redirect('../dashboard', 308);
    const file = this.files.get(path);
    if (file === undefined) throw new GatewayError('NOT_FOUND', `The dashboard has no file ${path}`);
    this.send(file, headers, reply);
  }

  private send({ bytes, gzipped, type, etag }: PageFile, headers: RequestHeaders, reply: FastifyReply): void {
    const isGzipped = /\bgzip\b/.test(headers['accept-encoding'] ?? '');
    void reply.headers({
      'content-security-policy': this.policy,
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-resource-policy': 'same-origin',
      // A new version of the gateway may have other files under the same names.
      'cache-control': 'no-cache',
      vary: 'accept-encoding',
      etag,
    });
    if (headers['if-none-match'] === etag) return void reply.status(304).send();
    if (isGzipped) void reply.header('content-encoding', 'gzip');
    void reply.type(type).send(isGzipped ? gzipped : bytes);
  }
}

type RequestHeaders = Readonly<Record<string, string | undefined>>;
