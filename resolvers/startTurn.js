import { runtime, util } from '@aws-appsync/utils';

/**
 * Has the handler answer a queued turn: gives it the agent and, of a message, the question and the newest history that fits 192 KB.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { agent, conversation, events, question, queued } = ctx.stash;
  if (queued.status !== 'QUEUED') runtime.earlyReturn(shown(ctx.stash), { skipTo: 'END' });
  const { id, version, name, modelId, systemPrompt, inference, contextBytes } = agent;
  const older = question ? events.filter(({ position }) => position < question.position) : [];
  const history = [];
  let room = 196608;
  for (const event of older) {
    room -= (util.base64Encode(JSON.stringify(event.content)).length * 3) / 4;
    if (room < 0) break;
    history.unshift(told(event));
  }
  const order = { type: 'turn', conversationId: conversation.id, turnId: queued.id, run: queued.run };
  const payload = {
    ...order,
    agent: { id, version, name, modelId, systemPrompt, inference, contextBytes },
    question: question ? told(question) : null,
    history,
    historyCut: !question || history.length < question.position - 1,
    continues: queued.runPosition > queued.answerPosition,
    askedBy: ctx.identity ? ctx.stash.userId : null,
  };
  return { operation: 'Invoke', invocationType: 'Event', payload };
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  if (ctx.error) console.error(ctx.error.type);
  ctx.stash.unstarted = !!ctx.error;
  return shown(ctx.stash);
}

const told = ({ pk, sk, usage, ...event }) => event;
const shown = ({ question, queued }) => (question ? { ...queued, question: { ...question, text: question.content[0].text } } : queued);
