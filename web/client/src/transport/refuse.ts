import { ParlanceError } from '../errors.js';
import type { Subscription, SubscriptionObserver } from './transport.js';

export function closedError(): ParlanceError {
  return new ParlanceError('CLOSED', 'The client is closed.');
}

/** A subscription that is refused as soon as its owner has it. */
export function refuse(observer: SubscriptionObserver, error: ParlanceError): Subscription {
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
