import { type ChildProcess, spawn } from 'node:child_process';

/**
 * Reads `watch SIGNAL:PID` and `forget SIGNAL:PID`; when its input ends, it signals what it still watches. `CONT`
 * first: a stopped process would keep its port until somebody wakes it.
 */
const SCRIPT = `
trap '' INT TERM HUP
list=
while read -r verb entry; do
  case $verb in
    watch) list="$list $entry" ;;
    forget)
      rest=
      for other in $list; do [ "$other" = "$entry" ] || rest="$rest $other"; done
      list=$rest ;;
  esac
done
for entry in $list; do kill "-\${entry%%:*}" "\${entry##*:}" 2>/dev/null; done
`;

/**
 * Ends every process of a run when this one ends, however it ends: the shell at the other end of the pipe notices
 * even a `kill -9`.
 */
export class Reaper {
  private readonly shell: ChildProcess;

  constructor() {
    this.shell = spawn('/bin/sh', ['-c', SCRIPT], { stdio: ['pipe', 'ignore', 'ignore'], detached: true });
    this.shell.stdin?.on('error', () => undefined);
    this.shell.unref();
  }

  /** @param signal what ends it for good: KILL, or QUIT for PostgreSQL, whose own children must go too */
  watch(pid: number, signal: 'KILL' | 'QUIT' = 'KILL'): void {
    this.shell.stdin?.write(`watch ${signal}:${pid}\n`);
  }

  /** To be called as soon as the process is gone, before its number belongs to another one. */
  forget(pid: number, signal: 'KILL' | 'QUIT' = 'KILL'): void {
    this.shell.stdin?.write(`forget ${signal}:${pid}\n`);
  }

  /** Signals what is still watched. */
  close(): void {
    this.shell.stdin?.end();
  }
}
