import { useRef, useState } from 'preact/hooks';
import { messageOf } from './api.js';

/** What is known of what a part of the page asks the gateway. */
export interface Answer<T> {
  /** The last answer, maybe to an earlier question; undefined before the first. */
  readonly answer: T | undefined;
  /** Why the question could not be answered last; undefined if it was. */
  readonly problem: string | undefined;
  /** Whether neither an answer to this question nor a problem with it is known yet. */
  readonly isPending: boolean;
  /** Asks now. Never throws. */
  readonly reload: () => Promise<void>;
  /** Takes in what the gateway said on another way, in place of what was asked before. */
  readonly put: (answer: T) => void;
}

interface Known<T> {
  /** What was answered, or could not be. */
  readonly question: string | undefined;
  readonly answer: T | undefined;
  readonly problem: string | undefined;
}

/**
 * Asks the gateway, again and again if need be. Answers may overtake each other: one to a question that is not asked any
 * more is dropped, and so is one that was asked for before what is known.
 * @param question names what is asked, so that its answers can be told from those to other questions
 */
export function useAnswer<T>(question: string, ask: () => Promise<T>): Answer<T> {
  const [known, setKnown] = useState<Known<T>>({
    question: undefined,
    answer: undefined,
    problem: undefined,
  });
  const order = useRef({ question, asked: 0, taken: 0 });
  order.current.question = question;
  const take = (number: number, change: (before: Known<T>) => Known<T>): void => {
    if (order.current.question !== question || number < order.current.taken) return;
    order.current.taken = number;
    setKnown(change);
  };
  const next = (): number => (order.current.asked += 1);
  const answered = (number: number, answer: T): void =>
    take(number, () => ({ question, answer, problem: undefined }));
  const reload = async (): Promise<void> => {
    const number = next();
    try {
      answered(number, await ask());
    } catch (error) {
      // What was answered before stays, unless it was another question.
      take(number, (before) => ({
        question,
        answer: before.question === question ? before.answer : undefined,
        problem: messageOf(error),
      }));
    }
  };
  const isPending = known.question !== question;
  return {
    answer: known.answer,
    problem: isPending ? undefined : known.problem,
    isPending,
    reload,
    put: (answer) => answered(next(), answer),
  };
}
