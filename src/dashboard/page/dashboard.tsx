import { useCallback, useEffect, useState } from 'preact/hooks';
import { Api } from './api.js';
import { Frame } from './frame.js';
import { LiveFeed, type LiveState } from './live.js';
import { SignIn } from './sign-in.js';

/** The token lives as long as the tab, and is sent in a header only: nothing is sent without the page's doing. */
const STORED = 'infernet-gateway-admin-token';

interface Session {
  readonly api: Api;
  readonly feed: LiveFeed;
}

/** Signs in, then shows the gateway. */
export function Dashboard() {
  const [token, setToken] = useState(() => sessionStorage.getItem(STORED));
  const [refused, setRefused] = useState(false);
  const [session, setSession] = useState<Session>();
  const [live, setLive] = useState<LiveState>();

  const signIn = useCallback((value: string) => {
    sessionStorage.setItem(STORED, value);
    setRefused(false);
    setToken(value);
  }, []);
  const signOut = useCallback(() => {
    sessionStorage.removeItem(STORED);
    setToken(null);
  }, []);

  useEffect(() => {
    if (token === null) return undefined;
    const api = new Api(token, () => {
      setRefused(true);
      signOut();
    });
    const feed = new LiveFeed(api, setLive);
    setSession({ api, feed });
    void feed.start();
    return () => {
      feed.stop();
      setSession(undefined);
      setLive(undefined);
    };
  }, [token, signOut]);

  if (token === null) return <SignIn onToken={signIn} refused={refused} />;
  if (session === undefined || live === undefined) return <p class="loading">Connecting …</p>;
  return <Frame api={session.api} feed={session.feed} live={live} onSignOut={signOut} />;
}
