import { useState } from 'preact/hooks';
import { messageOf } from './api.js';

/** What a dialog asks the gateway to do. Its problems belong into the dialog: all else is inert while that is open. */
export interface Action {
  /** Why it failed last; undefined while it goes on or when it went well. */
  readonly problem: string | undefined;
  readonly isBusy: boolean;
  /** @returns whether it went well */
  readonly run: (act: () => Promise<unknown>) => Promise<boolean>;
}

export function useAction(): Action {
  const [problem, setProblem] = useState<string>();
  const [isBusy, setBusy] = useState(false);
  const run = async (act: () => Promise<unknown>): Promise<boolean> => {
    setProblem(undefined);
    setBusy(true);
    try {
      await act();
      return true;
    } catch (error) {
      setProblem(messageOf(error));
      return false;
    } finally {
      setBusy(false);
    }
  };
  return { problem, isBusy, run };
}
