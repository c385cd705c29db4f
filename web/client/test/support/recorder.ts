import type { SubscriptionObserver } from '../../src/index.js';

/** An observer that records its calls in order. */
export class Recorder implements SubscriptionObserver {
  readonly calls: string[] = [];
  readonly data: unknown[] = [];

  onSubscribed(): void {
    this.calls.push('subscribed');
  }

  onData(data: unknown): void {
    this.data.push(data);
    this.calls.push('data');
  }

  onState(state: string): void {
    this.calls.push(state);
  }

  onError({ code }: { code: string }): void {
    this.calls.push(`error ${code}`);
  }

  count(call: string): number {
    return this.calls.filter((one) => one === call).length;
  }
}
