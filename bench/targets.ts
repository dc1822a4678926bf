import { rounded } from './numbers.js';

/** A number that a benchmark's issue names, and what was measured. */
export interface Target {
  readonly name: string;
  /** To a thousandth. */
  readonly value: number;
  /** What the value must not exceed, or must reach if `atLeast`. */
  readonly target: number;
  readonly atLeast?: boolean;
  readonly ok: boolean;
}

export function atMost(name: string, value: number, target: number): Target {
  return { name, value: rounded(value), target, ok: value <= target };
}

export function atLeast(name: string, value: number, target: number): Target {
  return { name, value: rounded(value), target, atLeast: true, ok: value >= target };
}

/** Each on a line, the names in one column. */
export function printTargets(targets: readonly Target[]): void {
  const width = Math.max(...targets.map(({ name }) => name.length));
  console.log('');
  for (const { name, value, target, atLeast: least, ok } of targets) {
    const bound = `${least === true ? 'at least' : 'at most'} ${target}`;
    console.log(`${ok ? 'ok  ' : 'MISS'} ${name.padEnd(width)}${value.toFixed(2).padStart(8)}  ${bound}`);
  }
}
