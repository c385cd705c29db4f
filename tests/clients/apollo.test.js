import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import {
  ApolloClient,
  ApolloLink,
  CombinedGraphQLErrors,
  HttpLink,
  InMemoryCache,
  gql,
} from '@apollo/client';
import { BaseHttpLink } from '@apollo/client/link/http';
import { tap } from 'rxjs';
import * as api from './api.js';
import { Updates, assertStored, assertWholeTurn } from './turn.js';

// In Node the links must be loaded with require: as ES modules they do not find the hash's constructor, and
// do not sign.
const require = createRequire(import.meta.url);
const { createAuthLink } = require('aws-appsync-auth-link');
const { CONTROL_EVENTS_KEY, createSubscriptionHandshakeLink } = require('aws-appsync-subscription-link');

// AppSync acknowledges a subscription with a result without data, which Apollo Client drops. So a link looks
// for it.
const acknowledgements = new ApolloLink((operation, forward) =>
  forward(operation).pipe(
    tap(
      ({ extensions }) =>
        extensions?.controlMsgType === 'CONNECTED' && operation.getContext().onAcknowledged(),
    ),
  ),
);
const auths = {
  API_KEY: { apiKey: api.apiKey },
  OPENID_CONNECT: { jwtToken: async () => api.token },
  AWS_IAM: { credentials: async () => api.iamKeys },
};
const connection = { url: api.url, region: 'us-east-1', auth: { type: api.mode, ...auths[api.mode] } };
// HttpLink adds to the body what the auth link has not signed.
const Http = api.mode === 'AWS_IAM' ? BaseHttpLink : HttpLink;
const client = new ApolloClient({
  link: ApolloLink.from([
    createAuthLink(connection),
    acknowledgements,
    createSubscriptionHandshakeLink(connection, new Http({ uri: api.url })),
  ]),
  cache: new InMemoryCache(),
  defaultOptions: { query: { fetchPolicy: 'no-cache' }, mutate: { fetchPolicy: 'no-cache' } },
});

test('Apollo receives all updates of a turn in order', { timeout: 60_000 }, async (t) => {
  const { data } = await client.mutate({
    mutation: gql(api.createConversation),
    variables: { input: { title: 'Apollo' } },
  });
  const conversationId = data.createConversation.id;
  assert.equal(data.createConversation.title, 'Apollo');

  const updates = new Updates();
  const { acknowledged, subscription } = subscribe(conversationId, updates);
  t.after(() => subscription.unsubscribe());
  await Promise.race([acknowledged, updates.ended]);

  const text = 'Tell me about “streaming”. 👩‍👩‍👧';
  const sent = await client.mutate({
    mutation: gql(api.sendMessage),
    variables: { input: { conversationId, text } },
  });
  const turnId = sent.data.sendMessage.id;
  const received = await updates.ended;
  assertWholeTurn(received, { conversationId, turnId, text });

  const stored = await client.query({ query: gql(api.getTurn), variables: { conversationId, id: turnId } });
  assertStored(stored.data.getTurn, received);
  const read = await client.query({ query: gql(api.getConversation), variables: { id: conversationId } });
  assert.deepEqual(
    read.data.getConversation.events.items.map(({ position, sender }) => [position, sender.kind]),
    [
      [1, 'USER'],
      [2, 'AGENT'],
    ],
  );
});

test('Apollo gets the error type of a refused message', { timeout: 60_000 }, async () => {
  const refused = client.mutate({ mutation: gql(api.sendMessage), variables: { input: { text: '  ' } } });
  await assert.rejects(refused, (error) => {
    assert.ok(CombinedGraphQLErrors.is(error), String(error));
    assert.equal(error.errors[0].errorType, 'InvalidInput');
    assert.equal(error.errors[0].errorInfo.field, 'text');
    return true;
  });
});

test('Apollo cannot subscribe to a conversation that does not exist', { timeout: 60_000 }, async () => {
  const updates = new Updates();
  subscribe('there-is-no-such-conversation', updates);
  await assert.rejects(updates.ended, /NotFound/);
});

/** `acknowledged` resolves when AppSync has acknowledged the subscription. */
function subscribe(conversationId, updates) {
  let subscription;
  const acknowledged = new Promise((resolve) => {
    const context = { controlMessages: { [CONTROL_EVENTS_KEY]: true }, onAcknowledged: resolve };
    const query = gql(api.onConversationUpdate);
    subscription = client
      .subscribe({ query, variables: { conversationId }, context, fetchPolicy: 'no-cache' })
      .subscribe({
        next: ({ data, error }) => (error ? updates.error(error) : updates.next(data.onConversationUpdate)),
      });
  });
  return { acknowledged, subscription };
}
