import { Controller, Delete, Get, Patch, Post, UseGuards } from '@nestjs/common';
import { Scheduler } from '../dispatch/scheduler.js';
import { ApiCall, Input, type InputOf } from '../http/api-call.js';
import { Lanes } from '../lanes/lanes.js';
import { Fleet } from '../nodes/fleet.js';
import { NodesService } from '../nodes/nodes.service.js';
import { AdminGuard } from './admin.guard.js';
import * as calls from './node-calls.js';
import { nodeView } from './node-view.js';

/** Operators' calls about nodes. */
@Controller('admin/nodes')
@UseGuards(AdminGuard)
export class NodesController {
  constructor(
    private readonly fleet: Fleet,
    private readonly nodes: NodesService,
    private readonly lanes: Lanes,
    private readonly scheduler: Scheduler,
  ) {}

  /** Answers when the node was probed once, so that the answer shows whether it is up. */
  @Post()
  @ApiCall(calls.registerNode)
  async register(@Input() { body }: InputOf<typeof calls.registerNode>): Promise<calls.NodeView> {
    const node = await this.nodes.register(body, 'admin');
    await this.lanes.probe(node.id);
    return nodeView(node, this.scheduler);
  }

  @Get()
  @ApiCall(calls.listNodes)
  list(): { nodes: calls.NodeView[] } {
    return { nodes: this.fleet.nodes.map((node) => nodeView(node, this.scheduler)) };
  }

  @Get(':id')
  @ApiCall(calls.showNode)
  show(@Input() { params }: InputOf<typeof calls.showNode>): calls.NodeView {
    return nodeView(this.nodes.find(params.id), this.scheduler);
  }

  @Patch(':id')
  @ApiCall(calls.changeNode)
  async change(@Input() { params: { id }, body }: InputOf<typeof calls.changeNode>): Promise<calls.NodeView> {
    const node = await this.nodes.change(id, body);
    if (body.url !== undefined) await this.lanes.probe(id);
    return nodeView(node, this.scheduler);
  }

  @Post(':id/drain')
  @ApiCall(calls.drainNode)
  async drain(@Input() { params }: InputOf<typeof calls.drainNode>): Promise<calls.NodeView> {
    return nodeView(await this.nodes.drain(params.id), this.scheduler);
  }

  @Post(':id/approve')
  @ApiCall(calls.approveNode)
  async approve(@Input() { params }: InputOf<typeof calls.approveNode>): Promise<calls.NodeView> {
    return nodeView(await this.nodes.approve(params.id), this.scheduler);
  }

  @Post(':id/resume')
  @ApiCall(calls.resumeNode)
  async resume(@Input() { params }: InputOf<typeof calls.resumeNode>): Promise<calls.NodeView> {
    return nodeView(await this.nodes.resume(params.id), this.scheduler);
  }

  @Delete(':id')
  @ApiCall(calls.removeNode)
  async remove(
    @Input() { params: { id }, query }: InputOf<typeof calls.removeNode>,
  ): Promise<calls.NodeView> {
    const node = this.nodes.find(id);
    if (query.force === 'true') await this.lanes.removeNow(id);
    else await this.nodes.startRemoval(id);
    return nodeView(node, this.scheduler);
  }
}
