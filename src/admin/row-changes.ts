/** A row as it is shown: an id and members that are JSON. */
export interface Row {
  readonly id: string;
  readonly [member: string]: unknown;
}

/** What is new about a set of rows: of rows that changed, the id and the members that did. */
export interface Changes {
  readonly changed: readonly Row[];
  readonly removed: readonly string[];
}

/** Tells how a set of rows differs from what it was when last asked. */
export class RowChanges {
  private known = new Map<string, ReadonlyMap<string, string>>();

  /** @returns undefined when nothing is new */
  next(rows: readonly Row[]): Changes | undefined {
    const changed: Row[] = [];
    const seen = new Map<string, ReadonlyMap<string, string>>();
    for (const row of rows) {
      const before = this.known.get(row.id);
      const texts = new Map(Object.entries(row).map(([name, value]) => [name, JSON.stringify(value)]));
      const news = Object.entries(row).filter(([name]) => texts.get(name) !== before?.get(name));
      if (news.length > 0) changed.push({ ...Object.fromEntries(news), id: row.id });
      seen.set(row.id, texts);
    }
    const removed = [...this.known.keys()].filter((id) => !seen.has(id));
    this.known = seen;
    return changed.length + removed.length === 0 ? undefined : { changed, removed };
  }
}
