import { expect, it } from 'vitest';
import { Watches, type Watch } from './watches.js';

function watch(id: string, containers: string[], dueAt: number, wantedUntil = 0): Watch {
  const attempt = { id: `attempt of ${id}`, jobId: id, nodeId: 'n', number: 1, fence: 1 };
  const job = { attempt, nodeJobId: id, containers, certain: true };
  const state = { seen: true, absences: 0, busy: false };
  return { job, since: 0, visible: true, openAt: 0, dueAt, wantedUntil, ...state };
}

function watchesOf(...all: Watch[]): Watches {
  const watches = new Watches();
  for (const each of all) watches.add(each);
  return watches;
}

const idsOf = (due: readonly Watch[]): string[] => due.map(({ job }) => job.nodeJobId);

it('asks first about what a caller waits for, then in the order in which it became due', () => {
  const watches = watchesOf(
    watch('late', ['echo'], 900),
    watch('early', ['echo'], 800),
    watch('wanted', ['echo'], 950, 9_000),
    watch('later', ['echo'], 1_200),
  );
  expect(idsOf(watches.due(1_000, 1_010)).slice(0, 3)).toEqual(['wanted', 'early', 'late']);
});

it('asks about a chain that nobody waits for, though callers always wait for single jobs', () => {
  const chain = watch('chain', ['first', 'last'], 0);
  const single = watch('single', ['echo'], 0, Infinity);
  const watches = watchesOf(chain, single);
  const asked: string[] = [];
  // One question a second, as at a node's default limit; what is asked about is due again at once.
  for (let now = 0; now < 60_000; now += 1_000) {
    const due = watches.due(now, now);
    asked.push(idsOf(due).join());
    for (const each of due) each.dueAt = now + 25;
  }
  const times = (ids: string): number => asked.filter((each) => each === ids).length;
  expect(times('chain')).toBeGreaterThanOrEqual(8);
  expect(times('single')).toBeGreaterThanOrEqual(45);
});

it('asks about what callers wait for at least every other time, however many have been due for long', () => {
  const old = Array.from({ length: 500 }, (_, n) => watch(`old ${n}`, ['echo'], 0));
  const watches = watchesOf(...old, watch('wanted', ['echo'], 59_990, Infinity));
  const firsts = [60_000, 61_000, 62_000, 63_000].map((now) => idsOf(watches.due(now, now))[0]);
  expect(firsts).toEqual(['old 0', 'wanted', 'old 0', 'wanted']);
});

it('does not take along what was absent once, before its pause is over', () => {
  const absent = watch('absent', ['echo'], 3_000);
  absent.absences = 1;
  const watches = watchesOf(absent, watch('running', ['echo'], 3_000), watch('due', ['echo'], 900));
  expect(idsOf(watches.due(1_000, 1_010))).toEqual(['due', 'running']);
});
