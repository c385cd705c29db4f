import { Check, ChevronRight, Wrench, X } from 'lucide-react';
import type { ToolCallAnswer, ToolPart } from 'parlance-client';
import { memo, useId, useState, type SyntheticEvent } from 'react';
import { sentenceOf, toolStatusOf } from '../lib/words.js';
import { useConversation } from './conversationContext.js';

/** Longer arguments and results are shown from their beginning, in UTF-16 code units. */
const LONGEST_SHOWN = 4000;

/** A call of a tool: its arguments, its state, its result, and the answer that it may wait for. */
export const ToolCard = memo(function ToolCard({ part }: { part: ToolPart }) {
  const { name, title, status, note, needs } = part;
  const [isToggled, setIsToggled] = useState(false);
  const bodyId = useId();
  // A person decides about the arguments, so they are shown.
  const isOpen = (needs !== undefined) !== isToggled;
  return (
    <div role="group" aria-label={`Tool ${name}`} className={`tool tool-${status.toLowerCase()}`}>
      <button
        type="button"
        className="tool-header"
        aria-expanded={isOpen}
        aria-controls={bodyId}
        onClick={() => {
          setIsToggled(!isToggled);
        }}
      >
        <ChevronRight aria-hidden size={16} className="tool-chevron" />
        <Wrench aria-hidden size={15} />
        <span className="tool-name">
          <bdi>{title ?? name}</bdi>
          {title !== undefined && <code>{name}</code>}
        </span>
        <span className="tool-status">{toolStatusOf(status)}</span>
      </button>
      <div id={bodyId} hidden={!isOpen} className="tool-body">
        {isOpen && <ToolDetails part={part} />}
      </div>
      {note !== undefined && <div className="tool-note">{note}</div>}
      {needs !== undefined && <ToolAnswer key={needs} part={part} needs={needs} />}
    </div>
  );
});

function ToolDetails({ part }: { part: ToolPart }) {
  const { input, inputText, result } = part;
  return (
    <>
      <Value label="Arguments" text={input === undefined ? inputText : JSON.stringify(input, null, 2)} />
      {result?.json !== undefined && <Value label="Result" text={JSON.stringify(result.json, null, 2)} />}
      {result?.text !== undefined && <Value label="Result" text={result.text} />}
      {result?.isTruncated && <div className="tool-note">The result was too long: its end is left out.</div>}
      {result?.startedAt && result.endedAt && (
        <div className="tool-note">{durationOf(result.startedAt, result.endedAt)}</div>
      )}
    </>
  );
}

function durationOf(startedAt: string, endedAt: string): string {
  const seconds = Math.max(0, Date.parse(endedAt) - Date.parse(startedAt)) / 1000;
  return `Took ${seconds.toLocaleString(undefined, { maximumFractionDigits: 1 })} s`;
}

function Value({ label, text }: { label: string; text: string }) {
  const [isWhole, setIsWhole] = useState(false);
  const isLong = text.length > LONGEST_SHOWN && !isWhole;
  return (
    <div className="tool-value">
      <span className="tool-label">{label}</span>
      <pre tabIndex={0} aria-label={label} dir="ltr">
        {isLong ? `${text.slice(0, LONGEST_SHOWN)}…` : text}
      </pre>
      {isLong && (
        <button
          type="button"
          className="button button-quiet"
          onClick={() => {
            setIsWhole(true);
          }}
        >
          Show all
        </button>
      )}
    </div>
  );
}

type Needs = NonNullable<ToolPart['needs']>;
type SentAnswer = { state: 'IDLE' } | { state: 'SENDING' } | { state: 'FAILED'; sentence: string };

function ToolAnswer({ part, needs }: { part: ToolPart; needs: Needs }) {
  const { store } = useConversation();
  const [sent, setSent] = useState<SentAnswer>({ state: 'IDLE' });
  const [isDenying, setIsDenying] = useState(false);
  const formId = useId();
  const answer = (value: DistributiveOmit<ToolCallAnswer, 'toolUseId'>) => {
    setSent({ state: 'SENDING' });
    store.answerToolCall({ toolUseId: part.toolUseId, ...value }).catch((error: unknown) => {
      setSent({ state: 'FAILED', sentence: sentenceOf(error) });
    });
  };
  const isBusy = sent.state === 'SENDING';
  return (
    <div className="tool-answer">
      {isDenying ? (
        <DenyForm
          isBusy={isBusy}
          onDeny={(reason) => {
            answer(reason === '' ? { approved: false } : { approved: false, reason });
          }}
          onCancel={() => {
            setIsDenying(false);
          }}
        />
      ) : (
        <>
          {needs === 'CLIENT' && (
            <ResultForm
              formId={formId}
              onResult={(result) => {
                answer({ result });
              }}
            />
          )}
          <div className="tool-buttons">
            {needs === 'APPROVAL' ? (
              <button
                type="button"
                className="button button-primary"
                disabled={isBusy}
                onClick={() => {
                  answer({ approved: true });
                }}
              >
                <Check aria-hidden size={16} />
                Approve
              </button>
            ) : (
              <button type="submit" form={formId} className="button button-primary" disabled={isBusy}>
                Send result
              </button>
            )}
            <button
              type="button"
              className="button"
              disabled={isBusy}
              onClick={() => {
                setIsDenying(true);
              }}
            >
              <X aria-hidden size={16} />
              Deny
            </button>
          </div>
        </>
      )}
      {sent.state === 'FAILED' && <p role="alert">{sent.sentence}</p>}
    </div>
  );
}

type DistributiveOmit<Value, Key extends PropertyKey> = Value extends unknown ? Omit<Value, Key> : never;

interface DenyFormProps {
  readonly isBusy: boolean;
  readonly onDeny: (reason: string) => void;
  readonly onCancel: () => void;
}

function DenyForm({ isBusy, onDeny, onCancel }: DenyFormProps) {
  const [reason, setReason] = useState('');
  const submit = (event: SyntheticEvent) => {
    event.preventDefault();
    onDeny(reason.trim());
  };
  return (
    <form className="form" onSubmit={submit}>
      <label className="form-row">
        Reason, for the agent
        <input
          className="field"
          autoFocus
          dir="auto"
          maxLength={1000}
          value={reason}
          onChange={(event) => {
            setReason(event.target.value);
          }}
        />
      </label>
      <div className="tool-buttons">
        <button type="submit" className="button button-danger" disabled={isBusy}>
          Deny
        </button>
        <button type="button" className="button" onClick={onCancel}>
          Back
        </button>
      </div>
    </form>
  );
}

interface ResultFormProps {
  readonly formId: string;
  readonly onResult: (result: unknown) => void;
}

/** This page runs no tools of clients. Who develops one can give the result by hand. */
function ResultForm({ formId, onResult }: ResultFormProps) {
  const [text, setText] = useState('');
  const [failure, setFailure] = useState<string>();
  const submit = (event: SyntheticEvent) => {
    event.preventDefault();
    const result = parseResult(text);
    if (result === undefined) setFailure('The result is any JSON value but null.');
    else onResult(result);
  };
  return (
    <form id={formId} className="form" onSubmit={submit}>
      <p className="hint">
        Another program runs this tool. It answers by itself, or its result is given here.
      </p>
      <label className="form-row">
        Result, as JSON
        <textarea
          className="field code-field"
          rows={3}
          spellCheck={false}
          value={text}
          onChange={(event) => {
            setText(event.target.value);
            setFailure(undefined);
          }}
        />
      </label>
      {failure !== undefined && <p role="alert">{failure}</p>}
    </form>
  );
}

function parseResult(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    return value === null ? undefined : value;
  } catch {
    return undefined;
  }
}
