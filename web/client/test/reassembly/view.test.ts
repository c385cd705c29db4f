import { describe, expect, it } from 'vitest';
import { TurnReassembly } from '../../src/reassembly/index.js';
import { completeTurn, completeUpdate, type Json } from './caseInput.js';
import { textOfView } from './caseRunner.js';

const QUESTION = { sender: { kind: 'USER' }, position: 1, text: 'Why?' };

/** A turn and its updates, which are numbered here. */
class Harness {
  readonly turn = new TurnReassembly('t', 0);
  #attempt = 0;
  #sequence = 0;

  begin(attempt: number, metadata: Json = {}): this {
    this.#attempt = attempt;
    this.#sequence = 0;
    return this.update(metadata, QUESTION);
  }

  text(text: string, contentBlockIndex = 0, citations: readonly Json[] = []): this {
    return this.update({ agentPartialMessage: text, contentBlockIndex, citations });
  }

  update(metadata: Json, event: Json | null = null): this {
    this.#sequence += 1;
    const numbers = { attempt: this.#attempt, sequence: this.#sequence };
    this.turn.onUpdate(completeUpdate({ ...numbers, metadata, event }), 0);
    return this;
  }

  respond(turn: Json): this {
    this.turn.markStale();
    this.turn.pollQuery();
    this.turn.onTurn(completeTurn({ attempt: this.#attempt, ...turn }), 0);
    return this;
  }

  get view() {
    return this.turn.view();
  }

  /** The ids of the events, and the streamed texts. */
  get answer() {
    return [...this.view.events.map(({ id }) => id), ...this.view.streaming.map(({ text }) => text)];
  }
}

function agent(position: number, text: string, more: Json = {}): Json {
  return { position, text, ...more };
}

function results(position: number, toolUseId: string): Json {
  const content = [{ toolResult: { toolUseId, status: 'SUCCEEDED' } }];
  return { position, text: '', sender: { kind: 'TOOL' }, content };
}

function calls(position: number, ...ids: string[]): Json {
  return { position, text: '', content: ids.map((id) => ({ toolUse: { id } })) };
}

function citation(start: number, end: number): Json {
  return { number: 1, title: 'leave.md', passage: '20 days.', start, end };
}

describe('view of a turn', () => {
  it('has stored events, then what was streamed since', () => {
    const harness = new Harness().begin(1).text('one ').update({}, agent(2, 'one ')).text('tw').text('o');
    expect(harness.answer).toEqual(['e2', 'two']);
    harness.update({ status: 'COMPLETED' }, agent(3, 'two', { stopReason: 'END_TURN' }));
    expect(harness.answer).toEqual(['e2', 'e3']);
    expect(harness.view).toMatchObject({ status: 'COMPLETED', end: { stopReason: 'END_TURN' } });
  });

  it('keeps what is streamed after the text of an event that comes later', () => {
    const harness = new Harness().begin(1).text('aab').text('cc').text('dd', 1).update({}, agent(2, 'aab'));
    expect(harness.view.streaming).toMatchObject([
      { contentBlockIndex: 0, text: 'cc' },
      { contentBlockIndex: 1, text: 'dd' },
    ]);
  });

  it('drops streamed text that the stored event has otherwise', () => {
    const harness = new Harness().begin(1).text('tvo ').text('x', 1).update({}, agent(2, 'two '));
    expect(harness.answer).toEqual(['e2']);
  });

  it('has an item for each run of batches of one block, in the order of the text', () => {
    const harness = new Harness().begin(1).text('a', 0).text('b', 0).text('x', 1).text('c', 0);
    expect(harness.view.streaming.map((block) => [block.contentBlockIndex, block.text])).toEqual([
      [0, 'ab'],
      [1, 'x'],
      [0, 'c'],
    ]);
  });

  it('places streamed citations in the text of their item', () => {
    const harness = new Harness().begin(1).text('20 days [1]', 0, [citation(8, 11)]);
    expect(harness.view.streaming).toMatchObject([{ citations: [{ start: 8, end: 11 }] }]);
    harness.text('x', 1).text(' or [1]', 0, [citation(15, 18)]);
    expect(harness.view.streaming.at(-1)).toMatchObject({
      text: ' or [1]',
      citations: [{ start: 4, end: 7 }],
    });
  });

  it('has no citations of a block whose start an event has stored', () => {
    const harness = new Harness().begin(1).text('one two [1]', 0, [citation(8, 11)]);
    harness.update({}, agent(2, 'one '));
    expect(harness.view.streaming).toMatchObject([{ text: 'two [1]', citations: [] }]);
  });

  it('shows no superseded event', () => {
    const harness = new Harness().begin(1).text('old').update({}, agent(2, 'old')).text('er');
    harness.begin(2);
    expect(harness.answer).toEqual([]);
    harness.text('new').respond({ answer: [agent(3, 'new')], batches: [{ sequence: 2 }] });
    expect(harness.answer).toEqual(['new']);
  });

  it('shows the events of a continuation as text until those before them are known', () => {
    const harness = new Harness().begin(1).text('Once');
    harness.begin(3, { continues: true }).update({}, agent(3, ' upon')).text(' a');
    expect(harness.answer).toEqual(['Once', ' upon', ' a']);
    harness.respond({ answer: [agent(2, 'Once', { attempt: 1 }), agent(3, ' upon')] });
    expect(harness.answer).toEqual(['e2', 'e3', ' a']);
  });

  it('keeps what was displayed when the next attempt begins before its base is known', () => {
    const harness = new Harness().begin(1).text('a').update({}, agent(2, 'a')).text('b');
    harness.begin(2, { continues: true }).text('c').update({}, agent(3, 'c')).text('d');
    harness.begin(4, { continues: true });
    expect(textOfView(harness.view)).toBe('ab');
    expect(harness.answer).toEqual(['e2', 'b']);
  });

  it('tells the state of the turn', () => {
    const harness = new Harness();
    expect(harness.view).toMatchObject({ status: 'QUEUED', attempt: 0 });
    expect(harness.begin(1).view).toMatchObject({
      status: 'RUNNING',
      attempt: 1,
      question: { text: 'Why?' },
    });
    expect(harness.update({ status: 'CANCELLING' }).view.status).toBe('CANCELLING');
    // An older response does not take it back.
    expect(harness.respond({ status: 'RUNNING' }).view.status).toBe('CANCELLING');
    harness.update({ status: 'CANCELLED' }, agent(2, '', { stopReason: 'CANCELLED' }));
    expect(harness.view.status).toBe('CANCELLED');
    harness.respond({ attempt: 2, status: 'QUEUED' });
    expect(harness.view).toMatchObject({ status: 'QUEUED', end: undefined });
  });

  it('tells of a wait, and of the answered calls until their results come', () => {
    const harness = new Harness().begin(1).update({}, calls(2, 'a', 'b'));
    const pending = [
      { id: 'a', status: 'APPROVAL_NEEDED' },
      { id: 'b', status: 'CLIENT_NEEDED' },
    ];
    expect(harness.update({ status: 'WAITING', pending }).view).toMatchObject({ status: 'WAITING', pending });
    harness.update({ status: 'WAITING', toolCall: { id: 'a', status: 'DENIED', note: 'Too much.' } });
    expect(harness.view.pending).toMatchObject([{ status: 'DENIED' }, { status: 'CLIENT_NEEDED' }]);
    harness.begin(3, { continues: true });
    expect(harness.view).toMatchObject({
      status: 'RUNNING',
      pending: undefined,
      toolCalls: [{ id: 'a', status: 'DENIED' }],
    });
    harness.respond({ answer: [{ ...calls(2, 'a', 'b'), attempt: 1 }] }).update({}, results(3, 'a'));
    expect(harness.view.toolCalls).toEqual([]);
  });

  it('has the states of calls that an attempt reports, until it has their results', () => {
    const harness = new Harness().begin(1).update({}, calls(2, 'a', 'b'));
    harness.update({ toolCall: { id: 'b', status: 'FAILED' } });
    harness.update({ toolCall: { id: 'a', status: 'SUCCEEDED' } });
    expect(harness.view.toolCalls.map(({ id }) => id)).toEqual(['b', 'a']);
    harness.respond({ answer: [calls(2, 'a', 'b')] });
    expect(harness.view.toolCalls.map(({ id }) => id)).toEqual(['b', 'a']);
    harness.update({}, results(3, 'a'));
    expect(harness.view.toolCalls.map(({ id }) => id)).toEqual(['b']);
    expect(harness.begin(2).view.toolCalls).toEqual([]);
  });

  it('forgets the answered calls of an answer that is replaced', () => {
    const harness = new Harness().begin(1).update({}, calls(2, 'a'));
    harness.update({ status: 'WAITING', pending: [{ id: 'a', status: 'RUNNING' }] });
    expect(harness.begin(2).view.toolCalls).toEqual([]);
  });

  it('has a note until the answer goes on', () => {
    const harness = new Harness().begin(1).update({ note: 'The model is busy.', noteCode: 'MODEL_BUSY' });
    expect(harness.view.note).toEqual({ text: 'The model is busy.', code: 'MODEL_BUSY' });
    expect(harness.text('Hi').view.note).toBeUndefined();
    expect(harness.update({ note: 'Again.' }).begin(2).view.note).toBeUndefined();
    harness.update({ note: 'Again.' });
    harness.update({ status: 'COMPLETED', note: 'Last.' }, agent(2, '', { stopReason: 'END_TURN' }));
    expect(harness.view.note).toBeUndefined();
  });

  it('keeps its identity, and that of its members, while they stay the same', () => {
    const harness = new Harness().begin(1).text('one ').update({}, agent(2, 'one ')).text('two');
    const before = harness.view;
    harness.turn.onUpdate(completeUpdate({ sequence: 2, metadata: { agentPartialMessage: 'one ' } }), 5);
    harness.turn.onUpdate(completeUpdate({ sequence: 9 }), 5);
    // The same events again are other objects.
    harness.respond({ answer: [agent(2, 'one ')], batches: [{ sequence: 2 }] });
    expect(harness.view).toBe(before);
    const after = harness.text('!').view;
    expect(after).not.toBe(before);
    expect(after.events).toBe(before.events);
    expect(after.toolCalls).toBe(before.toolCalls);
    const end = agent(3, 'two!', { stopReason: 'END_TURN' });
    harness.respond({ status: 'COMPLETED', answer: [agent(2, 'one '), end] });
    expect(harness.view.events[0]).toBe(before.events[0]);
  });

  it('takes the stored event where it differs from the one that was published', () => {
    const harness = new Harness().begin(1).update({}, agent(2, 'one ')).text('two');
    const end = agent(3, 'two', { stopReason: 'END_TURN' });
    harness.respond({ status: 'COMPLETED', answer: [agent(2, 'One '), end] });
    expect(textOfView(harness.view)).toBe('One two');
  });

  it('costs no more per batch the longer the answer is', () => {
    const harness = new Harness().begin(1);
    const batches = 100_000;
    const text = 'some words '.repeat(5);
    // Copying the answer with each batch would move 275 GB.
    for (let batch = 0; batch < batches; batch += 1) {
      harness.text(text);
      harness.turn.pollChange();
      harness.turn.view();
    }
    expect(textOfView(harness.view).length).toBe(batches * text.length);
  });
});
