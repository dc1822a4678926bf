import { Controller, Get, Header, Query } from '@nestjs/common';
import { Scheduler } from '../dispatch/scheduler.js';
import { ApiCall } from '../http/api-call.js';
import { Fleet } from '../nodes/fleet.js';
import { FleetResources } from '../nodes/fleet-resources.js';
import type { NodeInfo } from '../protocol/node-info.js';
import { healthCall, infoCall, resourcesCall } from './infernet-calls.js';

/** The node API's calls about the node itself, answered for the whole fleet from memory; docs/protocol.md §1. */
@Controller()
export class InfernetController {
  constructor(
    private readonly fleet: Fleet,
    private readonly scheduler: Scheduler,
    private readonly fleetResources: FleetResources,
  ) {}

  @Get('health')
  @ApiCall(healthCall)
  @Header('content-type', 'application/json')
  health(): string {
    return '{"status":"healthy"}\n';
  }

  @Get('info')
  @ApiCall(infoCall)
  @Header('content-type', 'application/json')
  info(): string {
    return infoText(this.fleet.mergedInfo(this.scheduler.held));
  }

  /** Of a repeated `model_id` the first counts, as at a node. */
  @Get('resources')
  @ApiCall(resourcesCall)
  @Header('content-type', 'application/json')
  async resources(@Query('model_id') modelId?: string | string[]): Promise<Buffer> {
    return this.fleetResources.merged([modelId].flat()[0]);
  }
}

/** As a node writes it: keys sorted. */
function infoText({ chain, containers, pending, version }: NodeInfo): string {
  return `${JSON.stringify({
    chain: { address: chain.address, enabled: chain.enabled },
    containers: containers.map(({ description, external, id, image }) => ({
      description,
      external,
      id,
      image,
    })),
    pending: { offchain: pending.offchain, onchain: pending.onchain },
    version,
  })}\n`;
}
