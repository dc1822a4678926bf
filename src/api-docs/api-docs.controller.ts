import { readFileSync } from 'node:fs';
import { Controller, Get, Header } from '@nestjs/common';
import { DiscoveryService } from '@nestjs/core';
import { ApiCall, apiCall } from '../http/api-call.js';
import { pagePolicy } from '../http/security-headers.js';
import { documentedCalls } from './documented-calls.js';
import { openApiDocument } from './openapi-document.js';
import { referencePage } from './reference-page.js';
import { REFERENCE_STYLE } from './reference-style.js';

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

const openApiCall = apiCall({
  chapter: 'Operations',
  summary: 'This document, for programs',
  answers: { 200: { description: 'OpenAPI 3.1.' } },
});

const docsCall = apiCall({
  chapter: 'Operations',
  summary: 'This document, for people',
  answers: { 200: { description: 'A page that loads nothing from elsewhere.', contentType: 'text/html' } },
});

/** The API documents, written once, when they are first asked for: the calls do not change while the gateway runs. */
@Controller()
export class ApiDocsController {
  private written: { readonly json: string; readonly page: string } | undefined;

  constructor(private readonly discovery: DiscoveryService) {}

  @Get('openapi.json')
  @ApiCall(openApiCall)
  @Header('content-type', 'application/json')
  document(): string {
    return this.write().json;
  }

  @Get('docs')
  @ApiCall(docsCall)
  @Header('content-type', 'text/html; charset=utf-8')
  @Header('content-security-policy', pagePolicy({ inlineStyle: REFERENCE_STYLE }))
  page(): string {
    return this.write().page;
  }

  private write(): { readonly json: string; readonly page: string } {
    if (this.written === undefined) {
      const document = openApiDocument(documentedCalls(this.discovery), version);
      this.written = { json: `${JSON.stringify(document)}\n`, page: referencePage(document) };
    }
    return this.written;
  }
}
