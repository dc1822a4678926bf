/** What the command line ends with. 1: what was asked for failed. 2: it was asked for in a way that cannot be followed. */
export const EXIT = { ok: 0, failure: 1, usage: 2 } as const;

/** What was asked for could not be done; the message is for the person who asked. Exit code 1. */
export class CommandError extends Error {}

/** The command line cannot be followed; nothing was sent to the gateway. Exit code 2. */
export class UsageError extends Error {}
