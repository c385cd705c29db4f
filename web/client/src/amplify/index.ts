/** The transport of AWS Amplify v6. */
import { closedError, ParlanceError, errorOfResponse, isRecord, toList } from '../errors.js';
import type {
  ConnectionState,
  Subscription,
  SubscriptionObserver,
  Transport,
  Variables,
} from '../transport/transport.js';

/** What `generateClient()` of aws-amplify/api returns. */
export interface AmplifyClient {
  graphql(options: never): unknown;
  cancel(request: Promise<unknown>): unknown;
}

/** `Hub` of aws-amplify/utils. */
export interface AmplifyHub {
  listen(
    channel: 'api',
    listener: (capsule: { payload: { event: string; data?: unknown } }) => void,
  ): () => void;
}

interface AmplifySubscription {
  unsubscribe(): void;
}

interface AmplifyObservable {
  subscribe(observer: {
    next: (message: unknown) => void;
    error: (error: unknown) => void;
  }): AmplifySubscription;
}

/**
 * Requests go as Amplify is configured. Amplify tells only its `Hub` when AppSync has acknowledged a
 * subscription and how its connection is; it tells that for all its connections, without saying which. It
 * opens a lost connection again after five seconds, then each minute, and does not tell when AppSync has
 * ended a subscription.
 */
export function amplifyTransport(client: AmplifyClient, hub: AmplifyHub): Transport {
  const subscriptions = new Set<Subscription>();
  let isClosed = false;
  return {
    async request<Data>(document: string, variables: Variables, signal?: AbortSignal) {
      if (isClosed) throw closedError();
      return await request<Data>(client, document, variables, signal);
    },
    subscribe(document, variables, observer) {
      if (isClosed) return refuse(observer, closedError());
      const subscription = follow(client, hub, document, variables, observer, () => {
        subscriptions.delete(subscription);
      });
      subscriptions.add(subscription);
      return subscription;
    },
    close() {
      isClosed = true;
      for (const subscription of [...subscriptions]) subscription.unsubscribe();
    },
  };
}

async function request<Data>(
  client: AmplifyClient,
  query: string,
  variables: Variables,
  signal: AbortSignal | undefined,
): Promise<Data> {
  if (signal?.aborted) throw abortedError(signal.reason);
  const response = graphql(client, query, variables) as Promise<unknown>;
  const onAbort = (): void => {
    client.cancel(response);
  };
  signal?.addEventListener('abort', onAbort);
  try {
    const { data } = (await response) as { data: unknown };
    if (!isRecord(data)) throw new ParlanceError('BAD_RESPONSE', 'What answered is no GraphQL API.');
    return data as Data;
  } catch (error) {
    throw signal?.aborted ? abortedError(error) : errorOfAmplify(error);
  } finally {
    signal?.removeEventListener('abort', onAbort);
  }
}

function graphql(client: AmplifyClient, query: string, variables: Variables): unknown {
  return client.graphql({ query, variables } as never);
}

function follow(
  client: AmplifyClient,
  hub: AmplifyHub,
  document: string,
  variables: Variables,
  observer: SubscriptionObserver,
  onEnded: () => void,
): Subscription {
  const wanted = JSON.stringify(variables);
  const endListening = hub.listen('api', ({ payload: { event, data } }) => {
    if (!isRecord(data)) return;
    if (event === 'Subscription ack' && JSON.stringify(data['variables']) === wanted) observer.onSubscribed();
    if (event === 'ConnectionStateChange') observer.onState(toState(data['connectionState']));
  });
  const updates = graphql(client, document, variables) as AmplifyObservable;
  const subscription = updates.subscribe({
    next: (message) => {
      if (isRecord(message)) observer.onData(message['data']);
    },
    error: (error) => {
      end();
      observer.onError(errorOfAmplify(error));
    },
  });
  function end(): void {
    endListening();
    onEnded();
  }
  return {
    unsubscribe() {
      end();
      subscription.unsubscribe();
    },
  };
}

/** Amplify's names of states: those of its `ConnectionState`. */
function toState(name: unknown): ConnectionState {
  switch (name) {
    case 'Connected':
    case 'ConnectedPendingKeepAlive':
      return 'CONNECTED';
    case 'Connecting':
      return 'CONNECTING';
    case 'ConnectionDisrupted':
      return 'WAITING_TO_RECONNECT';
    case 'ConnectedPendingNetwork':
    case 'ConnectionDisruptedPendingNetwork':
      return 'OFFLINE';
    default:
      return 'CLOSED';
  }
}

/**
 * Amplify throws an object with `errors`: those of the API, or one that it has made. That one has the failure
 * of a request as its `originalError`, and what AppSync says of a subscription in its text.
 */
function errorOfAmplify(thrown: unknown): ParlanceError {
  if (thrown instanceof ParlanceError) return thrown;
  const [first] = isRecord(thrown) ? toList(thrown['errors']) : [];
  const { message, originalError, errorType } = isRecord(first) ? first : {};
  if (typeof errorType === 'string') return errorOfResponse(isRecord(thrown) ? thrown['errors'] : undefined);
  const refusal = refusalOf(message);
  if (refusal !== undefined) return errorOfResponse(refusal);
  if (originalError instanceof Error) return errorOfFailure(originalError);
  return first === undefined ? errorOfFailure(thrown) : errorOfResponse([first]);
}

/** Amplify's text is `Connection failed: ` and either the payload of AppSync's error or its type. */
function refusalOf(message: unknown): unknown {
  const [, reason] = typeof message === 'string' ? (/^Connection failed: (.*)$/s.exec(message) ?? []) : [];
  if (reason === undefined) return undefined;
  try {
    const payload: unknown = JSON.parse(reason);
    return isRecord(payload) ? payload['errors'] : undefined;
  } catch {
    return [{ errorType: reason, message: reason }];
  }
}

function errorOfFailure(failure: unknown): ParlanceError {
  const { name, message } = failure instanceof Error ? failure : { name: '', message: String(failure) };
  if (name === 'NetworkError') {
    return new ParlanceError('NETWORK', 'The API could not be reached.', { cause: failure });
  }
  const { code, message: text } = errorOfResponse([{ errorType: name, message }]);
  return new ParlanceError(code, text, { errorType: name, cause: failure });
}

function abortedError(cause: unknown): ParlanceError {
  return new ParlanceError('ABORTED', 'The request was ended.', { cause });
}

/** A subscription that is refused as soon as its owner has it. */
function refuse(observer: SubscriptionObserver, error: ParlanceError): Subscription {
  let isEnded = false;
  queueMicrotask(() => {
    if (!isEnded) observer.onError(error);
  });
  return {
    unsubscribe() {
      isEnded = true;
    },
  };
}
