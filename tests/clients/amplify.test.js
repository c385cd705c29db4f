import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Amplify } from 'aws-amplify';
import { generateClient } from 'aws-amplify/api';
import { decodeJWT } from 'aws-amplify/auth';
import { Hub } from 'aws-amplify/utils';
import * as api from './api.js';
import {
  Updates,
  assertNumbered,
  assertStored,
  assertWholeTurn,
  describeUpdate,
  withoutTypename,
} from './turn.js';

// Amplify replaces http:// by wss://, whose certificate it does not trust here. It does not replace HTTP://
// in capitals.
const modes = {
  API_KEY: { defaultAuthMode: 'apiKey', apiKey: api.apiKey },
  AMAZON_COGNITO_USER_POOLS: { defaultAuthMode: 'userPool' },
};
const endpoint = api.url.replace(/^http:/, 'HTTP:');
const tokenProvider = { getTokens: async () => api.token && { accessToken: decodeJWT(api.token) } };
// For requests of the administrator, which name the mode.
const credentialsProvider = {
  getCredentialsAndIdentityId: async () => ({ credentials: api.administratorKeys }),
  clearCredentialsAndIdentityId() {},
};
Amplify.configure(
  { API: { GraphQL: { endpoint, region: 'us-east-1', ...modes[api.mode] } } },
  { Auth: { tokenProvider, credentialsProvider } },
);
const client = generateClient();

test('Amplify receives all updates of a turn in order', { timeout: 60_000 }, async (t) => {
  const { data } = await client.graphql({
    query: api.createConversation,
    variables: { input: { title: 'Amplify' } },
  });
  const conversationId = data.createConversation.id;
  assert.equal(data.createConversation.title, 'Amplify');
  const updates = await subscribe(t, conversationId);

  const text = 'Tell me about “streaming”. 👩‍👩‍👧';
  const sent = await client.graphql({
    query: api.sendMessage,
    variables: { input: { conversationId, text } },
  });
  const turnId = sent.data.sendMessage.id;
  const received = await updates.ended;
  assertWholeTurn(received, { conversationId, turnId, text });

  const stored = await client.graphql({ query: api.getTurn, variables: { conversationId, id: turnId } });
  assertStored(stored.data.getTurn, received);
  const read = await client.graphql({ query: api.getConversation, variables: { id: conversationId } });
  assert.deepEqual(
    read.data.getConversation.events.items.map(({ position, sender }) => [position, sender.kind]),
    [
      [1, 'USER'],
      [2, 'AGENT'],
    ],
  );
});

test('Amplify receives the calls, the wait and the answer of a turn', { timeout: 60_000 }, async (t) => {
  const graphql = async (query, variables) => (await client.graphql({ query, variables })).data;
  const { helper } = api;
  await client.graphql({ query: api.putAgent, variables: { input: helper }, authMode: 'iam' });
  const input = { title: 'Untitled', agentId: helper.id };
  const { id } = (await graphql(api.createConversation, { input })).createConversation;
  const updates = await subscribe(t, id);

  const rename = JSON.stringify({ id, title: 'Plans for May' });
  const text = `call list_conversations and call rename_conversation with ${rename} and call page_title`;
  const turnId = (await graphql(api.sendMessage, { input: { conversationId: id, text } })).sendMessage.id;
  await Promise.race([updates.waiting, updates.ended]);
  const waitIndex = updates.received.length - 1;
  const { pending } = updates.received[waitIndex].metadata;
  const needed = pending.map(({ name, status }) => [name, status]);
  assert.deepEqual(needed, [
    ['rename_conversation', 'APPROVAL_NEEDED'],
    ['page_title', 'CLIENT_NEEDED'],
  ]);
  assert.deepEqual((await graphql(api.getTurn, { conversationId: id, id: turnId })).getTurn.pending, pending);

  const answer = async (call, reply) => {
    const input = { conversationId: id, turnId, toolUseId: call.id, ...reply };
    return (await graphql(api.answerToolCall, { input })).answerToolCall.status;
  };
  assert.equal(await answer(pending[0], { approved: true }), 'WAITING');
  assert.equal(await answer(pending[1], { result: '{"title":"My notes"}' }), 'QUEUED');
  const received = await updates.ended;
  for (const update of received) t.diagnostic(describeUpdate(update));
  assertNumbered(received);

  // While the query runs, the calls that wait are published; how many of them depends on its time.
  const isProgress = ({ metadata }) => metadata.status === 'RUNNING' && metadata.toolCall;
  const main = received.filter((update) => !update.metadata.agentPartialMessage && !isProgress(update));
  assert.deepEqual(
    main.map((update) => describeUpdate(update).replace(/^\S+ /, '')),
    [
      'RUNNING event of USER',
      'RUNNING event of AGENT: list_conversations, rename_conversation, page_title',
      'RUNNING event of TOOL: SUCCEEDED',
      'WAITING for rename_conversation APPROVAL_NEEDED, page_title CLIENT_NEEDED',
      'WAITING rename_conversation RUNNING',
      'RUNNING event of USER',
      'RUNNING event of TOOL: SUCCEEDED, SUCCEEDED',
      'COMPLETED event of AGENT',
    ],
  );
  const next = received[waitIndex + 2];
  assert.equal(next.metadata.continues, true, 'the next attempt goes on with the answer');

  const blocks = received.flatMap(({ event }) => event?.content ?? []);
  const results = blocks.flatMap(({ toolResult }) => (toolResult ? [JSON.parse(toolResult.json)] : []));
  // Callers with the API key list nothing unless the parameter ApiKeyListing is true.
  const isListed = results[0].listConversations.items.some((item) => item.id === id);
  assert.equal(isListed, api.mode !== 'API_KEY');
  const renamed = { updateConversation: { id, title: 'Plans for May' } };
  assert.deepEqual(results.slice(1), [renamed, { title: 'My notes' }]);
  assert.equal((await graphql(api.getConversation, { id })).getConversation.title, 'Plans for May');
  const stored = (await graphql(api.getTurn, { conversationId: id, id: turnId })).getTurn.answer;
  const events = received.flatMap(({ event }) => event ?? []).filter(({ sender }) => sender.kind !== 'USER');
  assert.deepEqual(stored.map(withoutTypename), events.map(withoutTypename));
});

test('Amplify gets the error type of a refused message', { timeout: 60_000 }, async () => {
  const refused = client.graphql({ query: api.sendMessage, variables: { input: { text: '  ' } } });
  await assert.rejects(refused, ({ errors, data }) => {
    assert.equal(errors[0].errorType, 'InvalidInput');
    assert.equal(errors[0].errorInfo.field, 'text');
    assert.equal(data.sendMessage, null);
    return true;
  });
});

test('Amplify cannot subscribe to a conversation that does not exist', { timeout: 60_000 }, async () => {
  const variables = { conversationId: 'there-is-no-such-conversation' };
  const error = await new Promise((resolve, reject) => {
    client
      .graphql({ query: api.onConversationUpdate, variables })
      .subscribe({ next: reject, error: resolve });
  });
  assert.match(JSON.stringify(error), /NotFound/);
});

/** Follows a conversation. Resolves when no later update can be missed. */
async function subscribe(t, conversationId) {
  const updates = new Updates();
  const acknowledged = acknowledgementOf(conversationId);
  const subscription = client
    .graphql({ query: api.onConversationUpdate, variables: { conversationId } })
    .subscribe({
      next: ({ data }) => updates.next(data.onConversationUpdate),
      error: (error) => updates.error(error),
    });
  t.after(() => subscription.unsubscribe());
  await Promise.race([acknowledged, updates.ended]);
  return updates;
}

/** Resolves when AppSync has acknowledged the subscription. */
function acknowledgementOf(conversationId) {
  return new Promise((resolve) => {
    const stop = Hub.listen('api', ({ payload: { event, data } }) => {
      if (event !== 'Subscription ack' || data.variables.conversationId !== conversationId) return;
      stop();
      resolve();
    });
  });
}
