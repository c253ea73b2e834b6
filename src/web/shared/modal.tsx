/**
 * A dialog over the page, and what all its forms share: one action that may be refused.
 */
import { type FormEvent, type ReactNode, useEffect, useId, useRef, useState } from "react";
import { Icon } from "./icon.tsx";
import { ServerError } from "./server.ts";

interface ModalProps {
  title: string;
  /** The button that does it. */
  action: string;
  dangerous?: boolean;
  onClose: () => void;
  /** Does it; a refusal is shown, and the dialog stays. */
  onSubmit: () => Promise<void>;
  children: ReactNode;
}

export function Modal({ title, action, dangerous = false, onClose, onSubmit, children }: ModalProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const heading = useId();
  const { pending, problem, perform } = useAction();
  useEffect(() => dialog.current?.showModal(), []);

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    if (await perform(onSubmit)) onClose();
  };
  return (
    <dialog ref={dialog} className="modal" aria-labelledby={heading} onClose={onClose}>
      <form onSubmit={(event) => void submit(event)}>
        <div className="modal-head">
          <h2 id={heading}>{title}</h2>
          <button type="button" className="button icon-button" aria-label="Close" onClick={onClose}>
            <Icon name="close" />
          </button>
        </div>
        <div className="modal-body">
          {children}
          {problem ? (
            <p className="problem" role="alert">
              {problem}
            </p>
          ) : null}
        </div>
        <div className="modal-foot">
          <button type="button" className="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" className={`button ${dangerous ? "danger" : "primary"}`} disabled={pending}>
            {action}
          </button>
        </div>
      </form>
    </dialog>
  );
}

/** One action at a time, and the refusal of the last one. `perform` says whether it worked. */
export function useAction() {
  const [pending, setPending] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  const perform = async (action: () => Promise<void>): Promise<boolean> => {
    setPending(true);
    setProblem(null);
    try {
      await action();
      return true;
    } catch (error) {
      if (!(error instanceof ServerError)) throw error;
      setProblem(error.message);
      return false;
    } finally {
      setPending(false);
    }
  };
  return { pending, problem, perform };
}
