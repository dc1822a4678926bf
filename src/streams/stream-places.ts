import { Injectable } from '@nestjs/common';
import { Dispatcher } from '../dispatch/dispatcher.js';
import type { Place } from '../dispatch/places.js';
import type { JobNeeds } from '../dispatch/policy/placement.js';
import { Fleet } from '../nodes/fleet.js';
import type { FleetNode } from '../nodes/node.js';

/** Finds places for streams. */
@Injectable()
export class StreamPlaces {
  constructor(
    private readonly dispatcher: Dispatcher,
    private readonly fleet: Fleet,
  ) {}

  /** The nodes that could take the stream now or soon, as far as is known, but for those that it has been to. */
  candidates({ containers, features = [] }: JobNeeds, tried: ReadonlySet<string>): FleetNode[] {
    return this.fleet.nodes.filter(
      (node) =>
        node.health === 'up' &&
        node.config.state === 'active' &&
        node.runs(containers) &&
        features.every((feature) => node.supports(feature)) &&
        !tried.has(node.id),
    );
  }

  /** A place as soon as there is one; undefined when the signal aborts first. */
  async find(job: JobNeeds, tried: ReadonlySet<string>, signal: AbortSignal): Promise<Place | undefined> {
    const now = this.dispatcher.placeNow(job, tried.size === 0 ? undefined : tried);
    if (now !== undefined || signal.aborted) return now;
    return this.dispatcher.reserve({ ...job, avoid: [...(job.avoid ?? []), ...tried] }, signal);
  }
}
