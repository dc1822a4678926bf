/** What is to happen at which time: a binary heap, first by time and then by order of entry. Times in ms. */
export class Agenda {
  private readonly times: number[] = [];
  private readonly orders: number[] = [];
  private readonly actions: (() => void)[] = [];
  private entered = 0;
  private clock = 0;

  /** The time of the entry that is being, or was last, carried out. */
  get nowMs(): number {
    return this.clock;
  }

  at(timeMs: number, action: () => void): void {
    let child = this.times.length;
    this.entered += 1;
    this.times.push(timeMs);
    this.orders.push(this.entered);
    this.actions.push(action);
    while (child > 0) {
      const parent = (child - 1) >> 1;
      if (!this.isBefore(child, parent)) break;
      this.swap(child, parent);
      child = parent;
    }
  }

  /** Carries out the next entry. @returns false if there is none */
  step(): boolean {
    const action = this.actions[0];
    if (action === undefined) return false;
    this.clock = this.times[0] as number;
    const last = this.times.length - 1;
    this.swap(0, last);
    this.times.pop();
    this.orders.pop();
    this.actions.pop();
    this.sink(last);
    action();
    return true;
  }

  private sink(size: number): void {
    let parent = 0;
    for (;;) {
      let child = parent * 2 + 1;
      if (child >= size) return;
      if (child + 1 < size && this.isBefore(child + 1, child)) child += 1;
      if (!this.isBefore(child, parent)) return;
      this.swap(child, parent);
      parent = child;
    }
  }

  private isBefore(a: number, b: number): boolean {
    const difference = (this.times[a] as number) - (this.times[b] as number);
    return difference < 0 || (difference === 0 && (this.orders[a] as number) < (this.orders[b] as number));
  }

  private swap(a: number, b: number): void {
    swapIn(this.times, a, b);
    swapIn(this.orders, a, b);
    swapIn(this.actions, a, b);
  }
}

function swapIn(list: unknown[], a: number, b: number): void {
  const kept = list[a];
  list[a] = list[b];
  list[b] = kept;
}
