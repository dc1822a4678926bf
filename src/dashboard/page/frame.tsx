import { useCallback, useEffect, useState } from 'preact/hooks';
import { messageOf, type Api } from './api.js';
import { ExplainView } from './explain.js';
import { JobsView } from './jobs.js';
import type { LiveFeed, LiveState } from './live.js';
import { Overview } from './overview.js';
import { hrefOf, useRoute, type View } from './route.js';
import { Time } from './time.js';

/** What each view is given. */
export interface ViewProps {
  readonly api: Api;
  readonly live: LiveState;
  /** Says what was done. */
  readonly tell: (done: string) => void;
  /** Carries an action of the page out and says how it went. Dialogs say themselves what went wrong: `useAction`. */
  readonly act: (action: () => Promise<unknown>, done: string) => Promise<void>;
}

interface Notice {
  readonly text: string;
  readonly isProblem: boolean;
}

const TITLES: Readonly<Record<View, string>> = { overview: 'Overview', jobs: 'Jobs', explain: 'Explain' };
const NOTICE_MS = 6_000;

/** The page around the views: navigation, state of the connection, notices. */
export function Frame(props: {
  readonly api: Api;
  readonly feed: LiveFeed;
  readonly live: LiveState;
  readonly onSignOut: () => void;
}) {
  const { api, feed, live } = props;
  const route = useRoute();
  const [notice, setNotice] = useState<Notice>();
  useEffect(() => {
    document.title = `${TITLES[route.view]} – infernet-gateway`;
  }, [route.view]);
  useEffect(() => {
    // A problem stays until it was read.
    if (notice === undefined || notice.isProblem) return undefined;
    const timer = setTimeout(() => setNotice(undefined), NOTICE_MS);
    return () => clearTimeout(timer);
  }, [notice]);

  const tell = useCallback((text: string): void => setNotice({ text, isProblem: false }), []);
  const act = useCallback(async (action: () => Promise<unknown>, done: string): Promise<void> => {
    try {
      await action();
      tell(done);
    } catch (error) {
      setNotice({ text: messageOf(error), isProblem: true });
    }
  }, []);

  const view: ViewProps = { api, live, tell, act };
  return (
    <>
      <a class="skip" href="#main" onClick={skipToMain}>
        Skip to content
      </a>
      <header class="top">
        <span class="brand">infernet-gateway</span>
        <nav aria-label="Views">
          {Object.entries(TITLES).map(([name, title]) => (
            <a href={hrefOf(name as View)} aria-current={route.view === name ? 'page' : undefined}>
              {title}
            </a>
          ))}
        </nav>
        <Connection live={live} />
        <button type="button" class="quiet" onClick={props.onSignOut}>
          Sign out
        </button>
      </header>
      <Banner live={live} />
      <main id="main" tabIndex={-1}>
        {route.view === 'overview' && <Overview {...view} feed={feed} />}
        {route.view === 'jobs' && <JobsView {...view} query={route.query} />}
        {route.view === 'explain' && <ExplainView {...view} query={route.query} />}
      </main>
      <div class="notices" role="status" aria-live="polite">
        {notice !== undefined && (
          <p class={notice.isProblem ? 'notice problem' : 'notice'}>
            {notice.text}
            <button type="button" class="quiet" aria-label="Dismiss" onClick={() => setNotice(undefined)}>
              ×
            </button>
          </p>
        )}
      </div>
    </>
  );
}

/** The hash is the route, so the link must not change it. */
function skipToMain(event: Event): void {
  event.preventDefault();
  document.querySelector<HTMLElement>('#main')?.focus();
}

const CONNECTIONS = { connecting: 'Connecting', live: 'Live', lost: 'Offline' };

function Connection({ live }: { readonly live: LiveState }) {
  return (
    <span class={`connection ${live.connection}`}>
      <span class="dot" aria-hidden="true" />
      {CONNECTIONS[live.connection]}
    </span>
  );
}

/** Says so when what is shown is not what is. */
function Banner({ live: { connection, totals } }: { readonly live: LiveState }) {
  const lost = connection === 'lost';
  const stale = totals?.error != null;
  return (
    <div role="status" aria-live="polite">
      {(lost || stale) && (
        <p class="banner">
          {lost ? 'No connection to the gateway. Trying again …' : 'The gateway’s database does not answer.'}
          {totals?.at != null && (
            <span>
              {' '}
              Figures from <Time at={totals.at} />.
            </span>
          )}
        </p>
      )}
    </div>
  );
}
