/** States and errors in words for people. */
import type {
  AssistantMessage,
  ConversationSnapshot,
  ConversationStatus,
  GuardrailIntervention,
  GuardrailPolicy,
  ParlanceError,
  ReasoningPart,
  StopReason,
  ToolStatus,
  Usage,
} from 'parlance-client';

/** Why a request failed, and what to do. */
export function sentenceOf(error: unknown): string {
  if (!isParlanceError(error)) return 'Something has gone wrong in this page.';
  switch (error.code) {
    case 'NETWORK':
    case 'TIMEOUT':
      return 'The server cannot be reached. Check the connection and try again.';
    case 'UNAVAILABLE':
    case 'TryAgain':
    case 'ExecutionTimeout':
      return 'The server is busy. Try again in a moment.';
    case 'UNAUTHORIZED':
      return 'The API does not accept this key or sign-in. Sign out, and sign in again.';
    case 'QuotaExceeded':
      return `Your quota is used up. Send it again${timeOf(error.info?.['retryAt'])}.`;
    case 'ConversationBusy':
      return 'The last message is still being answered. Wait for it, or stop it.';
    case 'ToolCallAnswered':
    case 'NotPending':
      return 'This call does not wait for an answer any more.';
    case 'NotFound':
      return 'There is no conversation at this address, or it is not shared with you.';
    case 'NotLatestTurn':
      return 'There is a newer message: only the last one can be answered again.';
    default:
      return error.message;
  }
}

function isParlanceError(error: unknown): error is ParlanceError {
  return error instanceof Error && error.name === 'ParlanceError';
}

function timeOf(retryAt: unknown): string {
  const date = typeof retryAt === 'string' ? new Date(retryAt) : undefined;
  if (!date || Number.isNaN(date.getTime())) return ' later';
  return ` after ${date.toLocaleString(undefined, { dateStyle: 'short', timeStyle: 'medium' })}`;
}

/** What an answer without an end is doing; undefined where its text says it. */
export function progressOf(
  message: AssistantMessage,
  status: ConversationStatus,
  note: ConversationSnapshot['note'],
): string | undefined {
  if (message.status === 'WAITING') return waitOf(message);
  if (message.status !== 'STREAMING') return undefined;
  if (status === 'CANCELLING') return 'Stopping…';
  if (note) return note.text;
  if (status === 'QUEUED') return 'Starting…';
  const last = message.parts.at(-1);
  if (last?.type === 'tool') return last.status === 'RUNNING' ? 'Working…' : 'Thinking…';
  return last ? undefined : 'Thinking…';
}

function waitOf({ parts }: AssistantMessage): string {
  const needs = parts.flatMap((part) => (part.type === 'tool' && part.needs ? [part.needs] : []));
  if (needs.includes('APPROVAL')) return 'Waiting for approval';
  if (needs.includes('CLIENT')) return 'Waiting for another program';
  return 'Waiting';
}

/** Why an answer ended before the model was finished; undefined where it was finished. */
export function endOf(
  status: AssistantMessage['status'],
  reason: StopReason | undefined,
): string | undefined {
  if (status === 'CANCELLED') return 'Stopped.';
  if (status !== 'COMPLETED') return undefined;
  switch (reason) {
    case 'MAX_TOKENS':
      return 'The answer has reached its greatest length.';
    case 'MAX_STEPS':
      return 'The answer has reached its greatest number of steps.';
    case 'DEADLINE':
      return 'The time for this answer ran out.';
    case 'CONTEXT_WINDOW_EXCEEDED':
      return 'The conversation is too long for the model.';
    case 'NO_ANSWER':
      return 'The model has thought and then said nothing.';
    case 'GUARDRAIL_INTERVENED':
      return 'A guardrail has ended this answer.';
    case 'CONTENT_FILTERED':
      return 'A filter has ended this answer.';
    case 'MALFORMED_OUTPUT':
      return 'The model has written what it may not write.';
    case 'CANCELLED':
      return 'Stopped.';
    case 'OTHER':
      return 'The model has ended this answer early.';
    case 'END_TURN':
    case 'STOP_SEQUENCE':
    case undefined:
      return undefined;
  }
}

export function toolStatusOf(status: ToolStatus): string {
  switch (status) {
    case 'RUNNING':
      return 'Running';
    case 'APPROVAL_NEEDED':
      return 'Waiting for approval';
    case 'CLIENT_NEEDED':
      return 'Waiting for a program';
    case 'SUCCEEDED':
      return 'Succeeded';
    case 'FAILED':
      return 'Failed';
    case 'DENIED':
      return 'Denied';
    case 'EXPIRED':
      return 'Expired';
    case 'CANCELLED':
      return 'Cancelled';
    case 'UNKNOWN':
      return 'Unknown: it may have run or not';
  }
}

/** What a guardrail did, as a sentence. */
export function guardrailOf({ source, policies }: GuardrailIntervention): string {
  const where = source === null ? '' : source === 'INPUT' ? ' in the message' : ' in the answer';
  const names = policies.map((policy) => POLICIES[policy] ?? POLICIES.OTHER).join(', ');
  return `A guardrail has intervened${where}${names && ` because of its policy: ${names}`}.`;
}

/** An API that is newer may have others. */
const POLICIES: Readonly<Partial<Record<GuardrailPolicy, string>> & { OTHER: string }> = {
  TOPIC: 'denied topics',
  CONTENT: 'harmful content',
  WORD: 'blocked words',
  SENSITIVE_INFORMATION: 'sensitive information',
  CONTEXTUAL_GROUNDING: 'grounding in the documents',
  OTHER: 'one that this page does not know',
};

/** How long the model has thought, or that it does. `measuredSeconds` is how long this page has seen it think. */
export function thoughtOf(
  { isStreaming, milliseconds }: Pick<ReasoningPart, 'isStreaming' | 'milliseconds'>,
  measuredSeconds: number,
): string {
  if (isStreaming) return measuredSeconds > 0 ? `Thinking… ${durationOf(measuredSeconds)}` : 'Thinking…';
  const seconds = milliseconds === undefined ? measuredSeconds : Math.max(1, Math.round(milliseconds / 1000));
  return seconds > 0 ? `Thought for ${durationOf(seconds)}` : 'Thought';
}

function durationOf(seconds: number): string {
  return seconds < 60 ? `${seconds} s` : `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

/** The tokens of an answer; `long` says what they were. Bedrock counts reasoning as output. */
export function usageOf(
  { inputTokens, outputTokens, totalTokens, cacheReadTokens, cacheWriteTokens }: Usage,
  hasReasoning: boolean,
): { short: string; long: string } {
  const input = [
    `${tokensOf(inputTokens)} read`,
    ...(cacheReadTokens ? [`${format(cacheReadTokens)} read from the cache`] : []),
    ...(cacheWriteTokens ? [`${format(cacheWriteTokens)} written to the cache`] : []),
  ];
  const reasoning = hasReasoning ? ', reasoning included' : '';
  return {
    short: tokensOf(totalTokens),
    long: `${input.join(', ')}; ${tokensOf(outputTokens)} of output${reasoning}.`,
  };
}

function tokensOf(count: number): string {
  return count === 1 ? '1 token' : `${format(count)} tokens`;
}

/** What a listener hears when the state of the newest answer changes. */
export function announcementOf(
  before: ConversationSnapshot,
  after: ConversationSnapshot,
): string | undefined {
  const answer = after.messages.findLast((message) => message.role === 'assistant');
  if (before.status === after.status || !answer) return undefined;
  switch (after.status) {
    case 'RUNNING':
      return 'The answer has begun.';
    case 'WAITING':
      return `${waitOf(answer)}.`;
    case 'IDLE':
      return before.status === 'SENDING' ? undefined : endAnnouncement(answer);
    case 'SENDING':
    case 'QUEUED':
    case 'CANCELLING':
      return undefined;
  }
}

function endAnnouncement({ status, failure }: AssistantMessage): string {
  if (status === 'FAILED') return `The answer has failed. ${failure?.message ?? ''}`;
  return status === 'CANCELLED' ? 'The answer was stopped.' : 'The answer is complete.';
}

function format(count: number): string {
  return count.toLocaleString();
}

/** The title of a conversation from its first message: at most 60 characters of the first line, without markers. */
export function titleOf(text: string): string {
  const line = (text.trim().split('\n', 1)[0] ?? '').replace(/^(?:#{1,6}|[-*>]|\d+[.)])\s+/, '').trim();
  if (line.length <= LONGEST_TITLE) return line;
  const cut = line.slice(0, LONGEST_TITLE);
  const lastBlank = cut.lastIndexOf(' ');
  const end = lastBlank > LONGEST_TITLE / 2 ? lastBlank : LONGEST_TITLE - 1;
  // Half of a pair of surrogates is no text.
  return `${line.slice(0, end).replace(/[\ud800-\udbff]$/, '')}…`;
}

const LONGEST_TITLE = 60;
/** The API's limit for a message, in bytes of JSON. */
const LONGEST_MESSAGE = 102_400;

export function isTooLong(text: string): boolean {
  const escaped = JSON.stringify(text);
  return new TextEncoder().encode(escaped).length - 2 > LONGEST_MESSAGE;
}
