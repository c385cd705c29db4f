import { CircleAlert, FastForward, RotateCw, Wrench } from 'lucide-react';
import type { ConversationEvent, ToolCall, TurnView } from 'parlance-client';
import { memo } from 'react';
import { TextPartView } from '../../../chat/src/conversation/TextPartView.js';
import type { Exchange } from './conversation.js';
import type { EntrySession } from './session.js';

interface ExchangeViewProps {
  readonly exchange: Exchange;
  /** Only the last turn of a conversation is answered again. */
  readonly isLast: boolean;
  readonly session: EntrySession;
}

/** A question and its answer. */
export const ExchangeView = memo(function ExchangeView({ exchange, isLast, session }: ExchangeViewProps) {
  const { question, turn, refusal } = exchange;
  return (
    <>
      <div className="row">
        <article className="question" aria-label="Message from you">
          <div className="bubble" dir="auto">
            {question}
          </div>
          <DeliveryNote exchange={exchange} session={session} />
        </article>
      </div>
      {turn && (
        <div className="row">
          <article className="answer" aria-label="Answer" aria-busy={!turn.end}>
            {turn.events.map((event) => (
              <EventView key={event.id} event={event} />
            ))}
            {turn.streaming.map((block) => (
              <Text key={block.contentBlockIndex} id="streaming" text={block.text} isStreaming />
            ))}
            <Waiting turn={turn} session={session} />
            <End turn={turn} isLast={isLast} session={session} />
            {refusal && <Problem sentence={refusal.message} />}
          </article>
        </div>
      )}
    </>
  );
});

function DeliveryNote({ exchange: { turnId, delivery }, session }: Omit<ExchangeViewProps, 'isLast'>) {
  switch (delivery.phase) {
    case 'SENDING':
      return <span className="message-note">Sending…</span>;
    case 'SENT':
      return null;
    case 'FAILED':
      return (
        <div className="problem">
          <p role="alert">This message was not sent. {delivery.error.message}</p>
          <button
            type="button"
            className="button"
            onClick={() => {
              session.sendAgain(turnId);
            }}
          >
            <RotateCw aria-hidden size={15} />
            Send again
          </button>
        </div>
      );
  }
}

/** A stored event: its text, and the names of the tools that it calls. */
function EventView({ event }: { event: ConversationEvent }) {
  const { id, text, content } = event;
  const calls = content.flatMap((block) => block.toolUse ?? []);
  const isTextOfAgent = event.sender.kind === 'AGENT' && text !== null && text !== '';
  return (
    <>
      {isTextOfAgent && <Text id={id} text={text} isStreaming={false} />}
      {calls.map((call) => (
        <div key={call.id} className="message-note">
          <Wrench aria-hidden size={14} /> {call.title ?? call.name}
        </div>
      ))}
    </>
  );
}

/** Nothing of a model is shown as HTML. */
function Text({ id, text, isStreaming }: { id: string; text: string; isStreaming: boolean }) {
  return <TextPartView part={{ type: 'text', key: id, step: 0, text, citations: [], isStreaming }} />;
}

interface TurnProps {
  readonly turn: TurnView;
  readonly session: EntrySession;
}

/** How far the turn is, and the calls for which it waits. */
function Waiting({ turn, session }: TurnProps) {
  if (turn.end) return null;
  if (turn.pending) {
    return turn.pending.map((call) => (
      <PendingCall key={call.id} call={call} turnId={turn.turnId} session={session} />
    ));
  }
  const isWriting = turn.streaming.length > 0;
  const progress = turn.note?.text ?? (turn.status === 'CANCELLING' ? 'Stopping…' : 'Thinking…');
  return isWriting && turn.note === undefined && turn.status !== 'CANCELLING' ? null : (
    <div className="progress moving">
      <span aria-hidden className="progress-mark" />
      {progress}
    </div>
  );
}

interface PendingCallProps {
  readonly call: ToolCall;
  readonly turnId: string;
  readonly session: EntrySession;
}

function PendingCall({ call, turnId, session }: PendingCallProps) {
  const { id, name, status } = call;
  const title = call.title ?? name;
  if (status === 'CLIENT_NEEDED') {
    return <div className="message-note">{title} waits for another program.</div>;
  }
  if (status !== 'APPROVAL_NEEDED') return null;
  const answer = (approved: boolean) => () => {
    session.answerToolCall(turnId, id, approved);
  };
  return (
    <div role="group" aria-label={`Tool ${name}`} className="problem">
      <p>{title} waits for an approval.</p>
      <button type="button" className="button button-primary" onClick={answer(true)}>
        Approve
      </button>
      <button type="button" className="button" onClick={answer(false)}>
        Deny
      </button>
    </div>
  );
}

function End({ turn, isLast, session }: TurnProps & { isLast: boolean }) {
  const { end, turnId } = turn;
  if (!end) return null;
  const { failure, stopReason, status } = end;
  const canContinue = status === 'CANCELLED' || stopReason === 'MAX_TOKENS';
  return (
    <>
      {failure && <Problem sentence={failure.message} />}
      {status === 'CANCELLED' && <div className="message-note">Stopped.</div>}
      {isLast && (
        <div className="actions">
          <button
            type="button"
            className="action"
            onClick={() => {
              session.retry(turnId);
            }}
          >
            <RotateCw aria-hidden size={15} />
            Retry
          </button>
          {canContinue && (
            <button
              type="button"
              className="action"
              onClick={() => {
                session.continue(turnId);
              }}
            >
              <FastForward aria-hidden size={15} />
              Continue
            </button>
          )}
        </div>
      )}
    </>
  );
}

function Problem({ sentence }: { sentence: string }) {
  return (
    <div className="problem">
      <p role="alert">
        <CircleAlert aria-hidden size={16} />
        {sentence}
      </p>
    </div>
  );
}
