import { RequestMethod } from '@nestjs/common';
import { METHOD_METADATA, PATH_METADATA } from '@nestjs/common/constants.js';
import type { DiscoveryService } from '@nestjs/core';
import { apiCallOf, type ApiCallSpec } from '../http/api-call.js';

/** A call together with where it is. */
export interface DocumentedCall {
  /** Lower case. */
  readonly method: string;
  /** As OpenAPI writes it: `/admin/nodes/{id}`. */
  readonly path: string;
  /** Unique: controller and handler. */
  readonly operationId: string;
  readonly spec: ApiCallSpec;
}

/** Every handler with `@ApiCall`, of all controllers, in their order. */
export function documentedCalls(discovery: DiscoveryService): DocumentedCall[] {
  return discovery.getControllers().flatMap(({ metatype }) => {
    if (typeof metatype !== 'function') return [];
    const prefix = Reflect.getMetadata(PATH_METADATA, metatype) as string;
    const handlers = metatype.prototype as Record<string, unknown>;
    return Object.getOwnPropertyNames(handlers).flatMap((name): DocumentedCall[] => {
      const handler = handlers[name];
      const spec = typeof handler === 'function' ? apiCallOf(handler) : undefined;
      if (spec === undefined) return [];
      const path = Reflect.getMetadata(PATH_METADATA, handler as object) as string;
      const method = Reflect.getMetadata(METHOD_METADATA, handler as object) as RequestMethod;
      return [
        {
          method: (RequestMethod[method] ?? '').toLowerCase(),
          path: openApiPath(prefix, path),
          operationId: `${metatype.name.replace(/Controller$/, '')}.${name}`,
          spec,
        },
      ];
    });
  });
}

function openApiPath(...parts: string[]): string {
  const segments = parts.flatMap((part) => part.split('/')).filter((segment) => segment !== '');
  return `/${segments.map((segment) => segment.replace(/^:(\w+)$/, '{$1}')).join('/')}`;
}
