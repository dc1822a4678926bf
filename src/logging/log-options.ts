import type { Params } from 'nestjs-pino';
import { pino } from 'pino';
import type { Settings } from '../config/settings.js';
import { errorFields, requestFields, responseFields } from './log-fields.js';
import type { SecretMask } from './secret-mask.js';

const STDOUT = 1;

/**
 * The log: one JSON object for each line on the standard output. A line on a request that failed has its `requestId`, at
 * `debug` every line that belongs to a request; one about a job has `jobId`, and `attemptId` and `node` where they apply.
 * Requests themselves are logged at `debug`: at `info` a busy gateway would write more log than results.
 *
 * @param mask takes known secrets out of every line
 */
export function logOptions({ logLevel }: Settings, mask: SecretMask): Params {
  const stdout = pino.destination(STDOUT);
  return {
    // Requests are logged by a hook of the server; see src/http/request-log.ts.
    forRoutes: [],
    pinoHttp: [
      {
        level: logLevel,
        wrapSerializers: false,
        serializers: { req: requestFields, res: responseFields, err: errorFields },
      },
      { write: (line: string) => void stdout.write(mask.apply(line)) },
    ],
  };
}
