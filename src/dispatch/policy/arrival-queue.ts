/**
 * Job ids in order of arrival. Ids are UUIDv7, so their text order is the order of arrival, and a job that
 * comes back (a retry, another replica's job) takes its old place. Appending and taking the first are O(1).
 */
export class ArrivalQueue {
  private ids: string[] = [];
  private head = 0;

  get length(): number {
    return this.ids.length - this.head;
  }

  get first(): string | undefined {
    return this.ids[this.head];
  }

  /** @returns false if the job is in the queue already */
  add(id: string): boolean {
    const at = this.placeOf(id);
    if (this.ids[at] === id) return false;
    if (at === this.ids.length) this.ids.push(id);
    else this.ids.splice(at, 0, id);
    return true;
  }

  shift(): string | undefined {
    const id = this.ids[this.head];
    if (id === undefined) return undefined;
    this.head += 1;
    // Give the memory back once half of the array is spent; amortised O(1).
    if (this.head > 1_024 && this.head * 2 > this.ids.length) {
      this.ids = this.ids.slice(this.head);
      this.head = 0;
    }
    return id;
  }

  /** @returns whether it was there */
  remove(id: string): boolean {
    const at = this.placeOf(id);
    if (this.ids[at] !== id) return false;
    this.ids.splice(at, 1);
    return true;
  }

  /** Index of the first id that is not smaller. */
  private placeOf(id: string): number {
    const last = this.ids.at(-1);
    if (last === undefined || last < id) return this.ids.length;
    let low = this.head;
    let high = this.ids.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.ids[middle] as string) < id) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
