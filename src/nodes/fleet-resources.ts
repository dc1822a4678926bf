import { EventEmitter } from 'node:events';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import { GatewayError } from '../errors.js';
import { Broadcast } from '../persistence/broadcast.js';
import { mergeResources, mergeSupport, writeResources, type ResourceEntries } from '../protocol/resources.js';
import { Fleet } from './fleet.js';
import type { FleetNode } from './node.js';
import { ALL_RESOURCES, ResourceSnapshots } from './resource-snapshots.js';

export interface FleetResourcesEvents {
  /** Somebody wants to know the answers of nodes to this question; see `ResourceSnapshots`. */
  wanted: [question: string];
}

/** An answer about a model is given out without asking the node again for so long, in ms. */
const FRESH_MS = 30_000;
/** How long a caller waits for nodes that never answered the question; the client gives up after 1 s. In ms. */
const PATIENCE_MS = 500;
/** A node that was waited for in vain is not waited for again for so long, in ms. */
const VAIN_MS = 30_000;
const LOOK_AGAIN_MS = 50;
const MOST_MODEL_ID_LENGTH = 500;

/**
 * What the containers of the fleet say of themselves, from the nodes' last answers (G9). A question that was never asked before is
 * put to the nodes while the caller waits a moment; older answers are renewed behind.
 */
@Injectable()
export class FleetResources extends EventEmitter<FleetResourcesEvents> {
  private readonly inVainUntilMs = new Map<string, number>();

  constructor(
    private readonly fleet: Fleet,
    private readonly snapshots: ResourceSnapshots,
    private readonly broadcast: Broadcast,
  ) {
    super();
    broadcast.on('resources', (questions) => {
      for (const question of questions) this.emit('wanted', question);
    });
    fleet.on('left', ({ id }) => this.inVainUntilMs.delete(id));
  }

  /** The body of `GET /resources`, as one node would answer for all; docs/protocol.md §1. @throws as `byNode` */
  async merged(modelId: string | undefined): Promise<Buffer> {
    const values = new Map<string, Buffer[]>();
    for (const [, entries] of await this.byNode(modelId)) {
      for (const [container, value] of entries) {
        const list = values.get(container);
        if (list === undefined) values.set(container, [value]);
        else list.push(value);
      }
    }
    const merge = isAboutModel(modelId) ? mergeSupport : mergeResources;
    return writeResources([...values].map(([container, list]) => [container, merge(list)]));
  }

  /**
   * What each node that is up answered, in order of registration; of containers that it still runs.
   * @param modelId undefined or empty asks for the resources themselves
   * @throws GatewayError MALFORMED_REQUEST with field `model_id`
   */
  async byNode(modelId: string | undefined): Promise<[FleetNode, ResourceEntries][]> {
    const question = questionOf(modelId);
    const nodes = this.fleet.nodes.filter((node) => node.health === 'up' && node.supports('resources'));
    let answers = await this.snapshots.read(question);
    const ageOf = ({ id }: FleetNode): number => performance.now() - (answers.get(id)?.seenAtMs ?? -Infinity);
    // The resources themselves are looked at in the background, whether anybody asks or not.
    const freshMs = question === ALL_RESOURCES ? Infinity : FRESH_MS;
    if (nodes.some((node) => ageOf(node) >= freshMs)) {
      this.emit('wanted', question);
      void this.broadcast.publish('resources', [question]);
      answers = await this.wait(question, nodes);
    }
    return nodes.flatMap((node): [FleetNode, ResourceEntries][] => {
      const answer = answers.get(node.id);
      if (answer === undefined) return [];
      return [[node, new Map([...answer.entries].filter(([id]) => node.containers.has(id)))]];
    });
  }

  /** Waits until all these nodes have answered, for a moment at most. */
  private async wait(question: string, nodes: readonly FleetNode[]): ReturnType<ResourceSnapshots['read']> {
    const untilMs = performance.now() + PATIENCE_MS;
    const isWaitedFor = ({ id }: FleetNode): boolean =>
      (this.inVainUntilMs.get(id) ?? 0) < performance.now() && !this.snapshots.known(question).has(id);
    while (performance.now() < untilMs && nodes.some(isWaitedFor)) {
      await sleep(LOOK_AGAIN_MS);
      if (nodes.some((node) => isWaitedFor(node) && !node.leased)) await this.snapshots.read(question);
    }
    for (const node of nodes.filter(isWaitedFor)) {
      this.inVainUntilMs.set(node.id, performance.now() + VAIN_MS);
    }
    return this.snapshots.known(question);
  }
}

function isAboutModel(modelId: string | undefined): modelId is string {
  return modelId !== undefined && modelId !== '';
}

function questionOf(modelId: string | undefined): string {
  if (!isAboutModel(modelId)) return ALL_RESOURCES;
  if (modelId.length > MOST_MODEL_ID_LENGTH || modelId.includes('\0')) {
    const message = `model_id: at most ${MOST_MODEL_ID_LENGTH} characters and no NUL expected`;
    throw new GatewayError('MALFORMED_REQUEST', message, { field: 'model_id' });
  }
  return modelId;
}
