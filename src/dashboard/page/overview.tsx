import { useEffect, useState } from 'preact/hooks';
import { useAnswer } from './answer.js';
import { Charts } from './charts.js';
import type { ViewProps } from './frame.js';
import type { LiveFeed } from './live.js';
import { NodesPanel } from './nodes.js';
import type { Stats } from './shapes.js';

/** How often the history of a day is asked for: its spans are minutes. */
const DAY_INTERVAL_MS = 30_000;

/** The fleet at a glance. */
export function Overview(props: ViewProps & { readonly feed: LiveFeed }) {
  const { api, live } = props;
  const [isDay, setDay] = useState(false);
  const day = useAnswer('24h', () => api.get<Stats>('stats', { history: '24h' }));
  // After a start the history is made up behind; until then there is none.
  const isSampled = live.totals !== undefined && live.totals.at !== null;
  useEffect(() => {
    if (!isDay) return undefined;
    void day.reload();
    const timer = setInterval(() => void day.reload(), DAY_INTERVAL_MS);
    return () => clearInterval(timer);
  }, [isDay, isSampled]);
  return (
    <>
      <section aria-labelledby="load-title">
        <div class="section-head">
          <h2 id="load-title">Load</h2>
          <div class="segments" role="group" aria-label="Time shown">
            <button type="button" aria-pressed={!isDay} onClick={() => setDay(false)}>
              10 minutes
            </button>
            <button type="button" aria-pressed={isDay} onClick={() => setDay(true)}>
              24 hours
            </button>
          </div>
        </div>
        <Charts history={isDay ? day.answer?.history : live.history} totals={live.totals} isDay={isDay} />
      </section>
      <NodesPanel {...props} />
    </>
  );
}
