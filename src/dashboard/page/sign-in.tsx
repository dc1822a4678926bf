import type { TargetedSubmitEvent } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { Api, ApiError, messageOf } from './api.js';

/** Asks for the admin token, and hands it on once the gateway has taken it. */
export function SignIn(props: { readonly onToken: (token: string) => void; readonly refused: boolean }) {
  const [problem, setProblem] = useState(props.refused ? 'The token is not accepted any more' : undefined);
  const [isBusy, setBusy] = useState(false);
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => field.current?.focus(), []);

  const submit = async (event: TargetedSubmitEvent<HTMLFormElement>): Promise<void> => {
    event.preventDefault();
    const token = field.current?.value.trim() ?? '';
    if (token === '') return setProblem('Enter the admin token');
    setBusy(true);
    try {
      await new Api(token, () => undefined).get('stats');
      props.onToken(token);
    } catch (error) {
      const isWrong = error instanceof ApiError && error.status === 401;
      setProblem(isWrong ? 'This is not the admin token of this gateway' : messageOf(error));
      setBusy(false);
      field.current?.select();
    }
  };

  return (
    <main class="sign-in">
      <form onSubmit={(event) => void submit(event)}>
        <h1>infernet-gateway</h1>
        <label for="token">Admin token</label>
        <input
          id="token"
          ref={field}
          type="password"
          autocomplete="current-password"
          spellcheck={false}
          aria-describedby="token-hint"
          aria-invalid={problem !== undefined}
        />
        <p
          id="token-hint"
          class={problem === undefined ? 'hint' : 'problem'}
          role={problem === undefined ? undefined : 'alert'}
        >
          {problem ?? 'It is the setting ADMIN_TOKEN, or in the file admin-token of the data folder.'}
        </p>
        <button type="submit" class="primary" disabled={isBusy}>
          {isBusy ? 'Signing in …' : 'Sign in'}
        </button>
      </form>
    </main>
  );
}
