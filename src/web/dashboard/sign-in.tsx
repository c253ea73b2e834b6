import { type FormEvent, useState } from "react";
import { Mark } from "../shared/icon.tsx";

/** Asks for the access key. It stays in this tab. */
export function SignIn({ problem, onKey }: { problem: string | null; onKey: (key: string) => void }) {
  const [key, setKey] = useState("");
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (key.trim() !== "") onKey(key.trim());
  };
  return (
    <main className="alone">
      <form className="sign-in" onSubmit={submit}>
        <Mark />
        <h1>Sign in to Madrox</h1>
        <p className="quiet">
          With an access key of this server. It is kept in this tab and forgotten when you close it.
        </p>
        {problem ? (
          <p className="problem" role="alert">
            {problem}
          </p>
        ) : null}
        <label className="field">
          <span>Access key</span>
          <input
            type="password"
            autoComplete="current-password"
            spellCheck={false}
            required
            value={key}
            onChange={(event) => setKey(event.target.value)}
          />
        </label>
        <button type="submit" className="button primary">
          Sign in
        </button>
      </form>
    </main>
  );
}
