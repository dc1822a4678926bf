import { expect, it } from 'vitest';
import { extended, NO_HISTORY } from './columns.js';

const history = (...at: number[]) => ({ ...NO_HISTORY, at, arrived: at.map((one) => one * 10) });

it('news follow, replace what they know better, and push out what is old', () => {
  expect(extended(NO_HISTORY, history(2, 4), 10).at).toEqual([2, 4]);
  expect(extended(history(2, 4), NO_HISTORY, 10).at).toEqual([2, 4]);
  const news = { ...history(4, 6), arrived: [1, 2] };
  expect(extended(history(2, 4), news, 10)).toMatchObject({ at: [2, 4, 6], arrived: [20, 1, 2] });
  expect(extended(history(2, 4), news, 2)).toMatchObject({ at: [4, 6], arrived: [1, 2] });
});
