import { util } from '@aws-appsync/utils';

/**
 * Has the handler answer the turn: gives it the agent, the question and the newest history that fits 192 KB.
 * @param {import('@aws-appsync/utils').Context} ctx
 */
export function request(ctx) {
  const { agent, conversation, events, question, queued } = ctx.stash;
  const { id, version, name, modelId, systemPrompt, inference, contextBytes } = agent;
  const history = [];
  let room = 196608;
  for (const event of events) {
    room -= (util.base64Encode(JSON.stringify(event.content)).length * 3) / 4;
    if (room < 0) break;
    const { pk, sk, usage, ...told } = event;
    history.unshift(told);
  }
  return {
    operation: 'Invoke',
    invocationType: 'Event',
    payload: {
      type: 'turn',
      conversationId: conversation.id,
      turnId: queued.id,
      run: queued.run,
      agent: { id, version, name, modelId, systemPrompt, inference, contextBytes },
      question,
      history,
      historyCut: history.length < conversation.eventCount,
    },
  };
}

/** @param {import('@aws-appsync/utils').Context} ctx */
export function response(ctx) {
  if (ctx.error) console.error(ctx.error.type);
  ctx.stash.unstarted = !!ctx.error;
  const { question, queued } = ctx.stash;
  return { ...queued, question: { ...question, text: question.content[0].text } };
}
