import { Controller, Delete, Get, HttpCode, Param, Patch, Post, Query, Req, UseGuards } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { Dispatcher } from '../dispatch/dispatcher.js';
import { Lanes } from '../lanes/lanes.js';
import { Fleet } from '../nodes/fleet.js';
import { NodesService } from '../nodes/nodes.service.js';
import { changeNodeSchema, readBody, registerNodeSchema } from './admin-body.js';
import { AdminGuard } from './admin.guard.js';
import { nodeView } from './node-view.js';

/** Operators' calls about nodes. */
@Controller('admin/nodes')
@UseGuards(AdminGuard)
export class NodesController {
  constructor(
    private readonly fleet: Fleet,
    private readonly nodes: NodesService,
    private readonly lanes: Lanes,
    private readonly dispatcher: Dispatcher,
  ) {}

  /** Answers when the node was probed once, so that the answer shows whether it is up. */
  @Post()
  async register(@Req() request: FastifyRequest): Promise<object> {
    const wishes = readBody(registerNodeSchema, request.body, request.headers['content-type']);
    const node = await this.nodes.register(wishes, 'admin');
    await this.lanes.probe(node.id);
    return nodeView(node, this.dispatcher);
  }

  @Get()
  list(): object {
    return { nodes: this.fleet.nodes.map((node) => nodeView(node, this.dispatcher)) };
  }

  @Get(':id')
  show(@Param('id') id: string): object {
    return nodeView(this.nodes.find(id), this.dispatcher);
  }

  @Patch(':id')
  async change(@Param('id') id: string, @Req() request: FastifyRequest): Promise<object> {
    const wishes = readBody(changeNodeSchema, request.body, request.headers['content-type']);
    const node = await this.nodes.change(id, wishes);
    if (wishes.url !== undefined) await this.lanes.probe(id);
    return nodeView(node, this.dispatcher);
  }

  @Post(':id/drain')
  @HttpCode(200)
  async drain(@Param('id') id: string): Promise<object> {
    return nodeView(await this.nodes.drain(id), this.dispatcher);
  }

  @Post(':id/resume')
  @HttpCode(200)
  async resume(@Param('id') id: string): Promise<object> {
    return nodeView(await this.nodes.resume(id), this.dispatcher);
  }

  @Delete(':id')
  @HttpCode(202)
  async remove(@Param('id') id: string, @Query('force') force?: string): Promise<object> {
    const node = this.nodes.find(id);
    if (force === 'true') await this.lanes.removeNow(id);
    else await this.nodes.startRemoval(id);
    return nodeView(node, this.dispatcher);
  }
}
