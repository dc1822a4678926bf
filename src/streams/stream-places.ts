import { Injectable } from '@nestjs/common';
import { Dispatcher } from '../dispatch/dispatcher.js';
import type { Place } from '../dispatch/places.js';
import type { JobNeeds } from '../dispatch/policy/placement.js';
import { Fleet } from '../nodes/fleet.js';
import type { FleetNode } from '../nodes/node.js';
import { Permits } from './permits.js';

/** Finds places for streams: on a node of this replica if one has room, else on the first of any replica that has. */
@Injectable()
export class StreamPlaces {
  constructor(
    private readonly dispatcher: Dispatcher,
    private readonly fleet: Fleet,
    private readonly permits: Permits,
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

  /** A place that is free now on a node of this replica. */
  findNow(job: JobNeeds, tried: ReadonlySet<string>): Place | undefined {
    return this.dispatcher.placeNow(job, tried.size === 0 ? undefined : tried);
  }

  /** A place as soon as there is one; undefined when the signal aborts first. */
  async find(job: JobNeeds, tried: ReadonlySet<string>, signal: AbortSignal): Promise<Place | undefined> {
    if (signal.aborted) return undefined;
    const { id, containers, features, urgent } = job;
    const needs = { id, containers, features, urgent, avoid: [...(job.avoid ?? []), ...tried] };
    if (this.permits.alone) return this.dispatcher.reserve(needs, signal);
    const found = new AbortController();
    const either = AbortSignal.any([signal, found.signal]);
    let first: Place | undefined;
    const offer = (place: Place | undefined): void => {
      if (place === undefined) return;
      if (first === undefined) first = place;
      else place.leave('gone');
      found.abort();
    };
    await Promise.all([
      this.dispatcher.reserve(needs, either).then(offer),
      this.permits.ask(needs, either).then(offer),
    ]);
    return first;
  }
}
