import { Injectable } from '@nestjs/common';
import { Settings } from '../config/settings.js';
import { DelegationSender } from './delegation-sender.js';
import type { TracedSpan } from '../tracing/tracing.js';
import { Fleet } from './fleet.js';
import type { FleetNode } from './node.js';
import { NodeClient } from './node-client.js';
import type { DelegationReply, SubmitReply } from './node-replies.js';
import { NodeSender } from './node-sender.js';

/** The senders of one node, for as long as the node is in the fleet. */
@Injectable()
export class NodeSenders {
  private readonly senders = new Map<string, NodeSender>();
  private readonly delegationSenders = new Map<string, DelegationSender>();

  constructor(
    private readonly client: NodeClient,
    private readonly settings: Settings,
    fleet: Fleet,
  ) {
    fleet.on('left', ({ id }) => {
      this.senders.delete(id);
      this.delegationSenders.delete(id);
    });
  }

  /** Sends the exact bytes of one submission, maybe together with others. Never rejects. @param span what the request is for */
  submit(node: FleetNode, body: Buffer, span?: TracedSpan): Promise<SubmitReply> {
    const { client, settings } = this;
    let sender = this.senders.get(node.id);
    if (sender === undefined) {
      sender = new NodeSender(node, client, settings.submitTimeoutMs);
      this.senders.set(node.id, sender);
    }
    return sender.submit(body, span);
  }

  /** Sends the exact bytes of one delegated subscription, alone. Never rejects. */
  submitDelegated(node: FleetNode, body: Buffer): Promise<DelegationReply> {
    const { client, settings } = this;
    let sender = this.delegationSenders.get(node.id);
    if (sender === undefined) {
      sender = new DelegationSender(node, client, settings.submitTimeoutMs);
      this.delegationSenders.set(node.id, sender);
    }
    return sender.submit(body);
  }
}
