import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Amplify } from 'aws-amplify';
import { generateClient } from 'aws-amplify/api';
import { decodeJWT } from 'aws-amplify/auth';
import { Hub } from 'aws-amplify/utils';
import * as api from './api.js';
import { Updates, assertStored, assertWholeTurn } from './turn.js';

// Amplify replaces http:// by wss://, which the local server does not speak. It does not replace HTTP:// in
// capitals.
const modes = {
  API_KEY: { defaultAuthMode: 'apiKey', apiKey: api.apiKey },
  AMAZON_COGNITO_USER_POOLS: { defaultAuthMode: 'userPool' },
};
Amplify.configure(
  { API: { GraphQL: { endpoint: api.url.replace(/^http:/, 'HTTP:'), ...modes[api.mode] } } },
  { Auth: { tokenProvider: { getTokens: async () => ({ accessToken: decodeJWT(api.token) }) } } },
);
const client = generateClient();

test('Amplify receives all updates of a turn in order', { timeout: 60_000 }, async (t) => {
  const { data } = await client.graphql({
    query: api.createConversation,
    variables: { input: { title: 'Amplify' } },
  });
  const conversationId = data.createConversation.id;
  assert.equal(data.createConversation.title, 'Amplify');

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
