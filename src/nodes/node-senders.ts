import { Injectable } from '@nestjs/common';
import { Settings } from '../config/settings.js';
import { Fleet } from './fleet.js';
import type { FleetNode } from './node.js';
import { NodeClient, type SubmitReply } from './node-client.js';
import { NodeSender } from './node-sender.js';

/** One sender for each node, for as long as the node is in the fleet. */
@Injectable()
export class NodeSenders {
  private readonly senders = new Map<string, NodeSender>();

  constructor(
    private readonly client: NodeClient,
    private readonly settings: Settings,
    fleet: Fleet,
  ) {
    fleet.on('left', (node) => this.senders.delete(node.id));
  }

  /** Sends the exact bytes of one submission, maybe together with others. Never rejects. */
  submit(node: FleetNode, body: Buffer): Promise<SubmitReply> {
    let sender = this.senders.get(node.id);
    if (sender === undefined) {
      sender = new NodeSender(node, this.client, this.settings.submitTimeoutMs);
      this.senders.set(node.id, sender);
    }
    return sender.submit(body);
  }
}
