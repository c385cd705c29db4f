import { describe, expect, test } from 'vitest';
import { ParlanceError } from '../../src/errors.js';
import { Connection, type Effect } from '../../src/transport/realtime/connection.js';
import type { ServerFrame } from '../../src/transport/realtime/frames.js';

const AUTHORIZATION = { host: 'h', 'x-api-key': 'k' };
const ACK: ServerFrame = { type: 'connection_ack', timeout: 300_000 };
const KEEP_ALIVE: ServerFrame = { type: 'other' };
/** The longest delay of the backoff. */
const LONGEST = 1;

/** A connection and its time, with a function for each step on the way to a state. */
class Scenario {
  readonly connection = new Connection();
  now = 1_000_000;
  socket = 0;

  effects(): Effect[] {
    const effects: Effect[] = [];
    let effect: Effect | undefined;
    while ((effect = this.connection.pollEffect()) !== undefined) effects.push(effect);
    this.socket = effects.findLast((one) => one.type === 'OPEN')?.socket ?? this.socket;
    return effects;
  }

  subscribe(...ids: string[]): this {
    for (const id of ids) this.connection.subscribe(id, `operation ${id}`, this.now);
    this.effects();
    return this;
  }

  open(): this {
    this.connection.onOpened(this.socket, this.now);
    this.effects();
    return this;
  }

  frame(frame: ServerFrame): this {
    this.connection.onFrame(this.socket, frame, LONGEST, this.now);
    return this;
  }

  authorize(id: string): this {
    this.connection.onAuthorized(this.socket, id, AUTHORIZATION, this.now);
    return this;
  }

  pass(ms: number): this {
    this.now += ms;
    const at = this.connection.wakeAt();
    if (at !== undefined && this.now >= at) this.connection.advance(LONGEST, this.now);
    return this;
  }

  lose(): this {
    this.connection.onLost(this.socket, LONGEST, this.now);
    return this;
  }

  /** With these subscriptions acknowledged. */
  static active(...ids: string[]): Scenario {
    const scenario = new Scenario()
      .subscribe(...ids)
      .open()
      .frame(ACK);
    for (const id of ids) scenario.authorize(id).frame({ type: 'start_ack', id });
    scenario.effects();
    return scenario;
  }

  /** With these subscriptions sent. */
  static started(...ids: string[]): Scenario {
    const scenario = new Scenario()
      .subscribe(...ids)
      .open()
      .frame(ACK);
    for (const id of ids) scenario.authorize(id);
    scenario.effects();
    return scenario;
  }

  /** A connection that was lost for the first time. */
  static waiting(...ids: string[]): Scenario {
    const scenario = Scenario.active(...ids).lose();
    scenario.effects();
    return scenario;
  }
}

const deliver = (id: string, signal: unknown) => ({ type: 'DELIVER', id, signal });
const open = (socket: number) => ({ type: 'OPEN', socket });
const authorize = (socket: number, id: string) => ({
  type: 'AUTHORIZE',
  socket,
  id,
  operation: `operation ${id}`,
});
const stop = (id: string) => ({ type: 'SEND', frame: { type: 'stop', id } });
const CLOSE = { type: 'CLOSE' };

function errorFrame(id: string, code: ParlanceError['code']): ServerFrame {
  return { type: 'error', id, error: new ParlanceError(code, 'A reason.') };
}

describe('from the first subscription to its first update', () => {
  test('opens, introduces itself, starts and delivers', () => {
    const { connection, now } = new Scenario();
    const effects = () => {
      const list: Effect[] = [];
      for (let effect = connection.pollEffect(); effect; effect = connection.pollEffect()) list.push(effect);
      return list;
    };
    expect(connection.state).toBe('CLOSED');
    connection.subscribe('a', 'operation a', now);
    expect(effects()).toEqual([open(1)]);
    expect(connection.state).toBe('CONNECTING');
    connection.onOpened(1, now);
    expect(effects()).toEqual([{ type: 'SEND', frame: { type: 'connection_init' } }]);
    connection.onFrame(1, ACK, 0, now);
    expect(effects()).toEqual([authorize(1, 'a')]);
    expect(connection.state).toBe('CONNECTED');
    connection.onAuthorized(1, 'a', AUTHORIZATION, now);
    const start = { type: 'start', id: 'a', operation: 'operation a', authorization: AUTHORIZATION };
    expect(effects()).toEqual([{ type: 'SEND', frame: start }]);
    connection.onFrame(1, { type: 'start_ack', id: 'a' }, 0, now);
    expect(effects()).toEqual([deliver('a', { type: 'SUBSCRIBED' })]);
    connection.onFrame(1, { type: 'data', id: 'a', data: { f: 1 } }, 0, now);
    expect(effects()).toEqual([deliver('a', { type: 'DATA', data: { f: 1 } })]);
  });

  test('a second subscription shares the connection', () => {
    const scenario = Scenario.active('a');
    scenario.connection.subscribe('b', 'operation b', scenario.now);
    expect(scenario.effects()).toEqual([authorize(1, 'b')]);
  });

  test('a subscription made while the connection is opened is started with it', () => {
    const scenario = new Scenario().subscribe('a', 'b').open().frame(ACK);
    expect(scenario.effects()).toEqual([authorize(1, 'a'), authorize(1, 'b')]);
  });

  test('the 101st subscription is refused', () => {
    const ids = Array.from({ length: 100 }, (_, index) => `s${index}`);
    const scenario = Scenario.active(...ids);
    scenario.connection.subscribe('x', 'operation x', scenario.now);
    const error = expect.objectContaining({ message: 'A client has at most 100 subscriptions.' }) as unknown;
    expect(scenario.effects()).toEqual([deliver('x', { type: 'REFUSED', error })]);
  });

  test('data of an unknown subscription is dropped', () => {
    expect(Scenario.active('a').frame({ type: 'data', id: 'x', data: {} }).effects()).toEqual([]);
  });
});

describe('unsubscription', () => {
  test('stops, and closes the connection five seconds after the last one', () => {
    const scenario = Scenario.active('a', 'b');
    scenario.connection.unsubscribe('a', scenario.now);
    expect(scenario.effects()).toEqual([stop('a')]);
    expect(scenario.connection.wakeAt()).toBe(scenario.now + 300_000);
    scenario.connection.unsubscribe('b', scenario.now);
    expect(scenario.effects()).toEqual([stop('b')]);
    expect(scenario.pass(4_999).effects()).toEqual([]);
    expect(scenario.pass(1).effects()).toEqual([CLOSE]);
    expect(scenario.connection.state).toBe('CLOSED');
    expect(scenario.connection.wakeAt()).toBeUndefined();
  });

  test('a subscription within these seconds keeps the connection', () => {
    const scenario = Scenario.active('a');
    scenario.connection.unsubscribe('a', scenario.now);
    scenario.effects();
    scenario.connection.subscribe('b', 'operation b', scenario.now);
    expect(scenario.pass(6_000).effects()).toEqual([authorize(1, 'b')]);
  });

  test('sends nothing where the start was not sent', () => {
    const scenario = new Scenario().subscribe('a', 'b').open().frame(ACK);
    scenario.effects();
    scenario.connection.unsubscribe('a', scenario.now);
    expect(scenario.effects()).toEqual([]);
    expect(scenario.authorize('a').effects()).toEqual([]);
  });

  test.each([
    ['opened', new Scenario().subscribe('a')],
    ['acknowledged', new Scenario().subscribe('a').open()],
    ['opened again', Scenario.waiting('a')],
  ])('closes a connection at once that is still to be %s', (_, scenario) => {
    scenario.connection.unsubscribe('a', scenario.now);
    expect(scenario.effects()).toEqual([CLOSE]);
    expect(scenario.connection.state).toBe('CLOSED');
  });

  test('of an unknown id does nothing', () => {
    const scenario = Scenario.active('a');
    scenario.connection.unsubscribe('x', scenario.now);
    expect(scenario.effects()).toEqual([]);
  });
});

describe('a lost connection', () => {
  test('is opened again after a delay, and its subscriptions are authorized anew', () => {
    const scenario = Scenario.active('a', 'b').lose();
    expect(scenario.effects()).toEqual([CLOSE]);
    expect(scenario.connection.state).toBe('WAITING_TO_RECONNECT');
    expect(scenario.pass(249).effects()).toEqual([]);
    expect(scenario.pass(1).effects()).toEqual([open(2)]);
    scenario.open().frame(ACK);
    expect(scenario.effects()).toEqual([authorize(2, 'a'), authorize(2, 'b')]);
    scenario.authorize('a').effects();
    expect(scenario.frame({ type: 'start_ack', id: 'a' }).effects()).toEqual([
      deliver('a', { type: 'SUBSCRIBED' }),
    ]);
  });

  test('waits twice as long after each failure, and 20 seconds at most', () => {
    const scenario = new Scenario().subscribe('a');
    const delays = Array.from({ length: 9 }, () => {
      scenario.lose().effects();
      const delay = (scenario.connection.wakeAt() ?? 0) - scenario.now;
      scenario.pass(delay).effects();
      return delay;
    });
    expect(delays).toEqual([250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 20_000, 20_000]);
  });

  test.each([
    [9_999, 1_000],
    [10_000, 250],
  ])('that was established for %d ms waits %d ms after two failures before', (age, delay) => {
    const scenario = new Scenario().subscribe('a');
    for (const wait of [250, 500]) {
      scenario.lose().effects();
      scenario.pass(wait).effects();
    }
    scenario.open().frame(ACK).authorize('a').frame({ type: 'start_ack', id: 'a' });
    scenario.effects();
    scenario.pass(age).lose();
    expect(scenario.connection.wakeAt()).toBe(scenario.now + delay);
  });

  test('without subscriptions is not opened again', () => {
    const scenario = Scenario.active('a');
    scenario.connection.unsubscribe('a', scenario.now);
    scenario.effects();
    expect(scenario.lose().effects()).toEqual([CLOSE]);
    expect(scenario.connection.state).toBe('CLOSED');
  });

  test('is not told anything of its old socket', () => {
    const scenario = Scenario.waiting('a');
    const old = scenario.socket;
    const tellOfOldSocket = () => {
      scenario.connection.onOpened(old, scenario.now);
      scenario.connection.onLost(old, LONGEST, scenario.now);
      scenario.connection.onFrame(old, { type: 'data', id: 'a', data: {} }, LONGEST, scenario.now);
      scenario.connection.onAuthorized(old, 'a', AUTHORIZATION, scenario.now);
      scenario.connection.onCredentialsFailed(
        old,
        'a',
        new ParlanceError('CREDENTIALS', 'No.'),
        LONGEST,
        scenario.now,
      );
      return scenario.connection.pollEffect();
    };
    expect(tellOfOldSocket()).toBeUndefined();
    scenario.pass(250).effects();
    expect(tellOfOldSocket()).toBeUndefined();
    expect(scenario.connection.state).toBe('CONNECTING');
  });
});

describe('silence', () => {
  test.each([
    ['a socket', new Scenario().subscribe('a'), 15_000],
    ['connection_ack', new Scenario().subscribe('a').open(), 15_000],
    ['credentials of a subscription', new Scenario().subscribe('a').open().frame(ACK), 15_000],
    ['start_ack', Scenario.started('a'), 15_000],
    ['a keep-alive', Scenario.active('a'), 300_000],
  ])('while waiting for %s opens another connection', (_, scenario, timeout) => {
    scenario.effects();
    expect(scenario.pass(timeout - 1).effects()).toEqual([]);
    expect(scenario.pass(1).effects()).toEqual([CLOSE]);
    expect(scenario.connection.state).toBe('WAITING_TO_RECONNECT');
  });

  test('is ended by any frame', () => {
    const scenario = Scenario.active('a').pass(299_999).frame(KEEP_ALIVE);
    expect(scenario.pass(299_999).effects()).toEqual([]);
  });

  test('is as long as connection_ack says', () => {
    const scenario = new Scenario().subscribe('a').open();
    scenario.frame({ type: 'connection_ack', timeout: 60_000 }).authorize('a');
    scenario.frame({ type: 'start_ack', id: 'a' }).effects();
    expect(scenario.connection.wakeAt()).toBe(scenario.now + 60_000);
  });
});

describe('errors', () => {
  test('a final connection_error refuses all subscriptions', () => {
    const scenario = new Scenario().subscribe('a', 'b').open();
    const error = new ParlanceError('UNAUTHORIZED', 'No.');
    scenario.frame({ type: 'connection_error', error, isFinal: true });
    const signal = { type: 'REFUSED', error };
    expect(scenario.effects()).toEqual([deliver('a', signal), deliver('b', signal), CLOSE]);
    expect(scenario.connection.state).toBe('CLOSED');
  });

  test('another connection_error opens another connection', () => {
    const scenario = new Scenario().subscribe('a').open();
    const error = new ParlanceError('OTHER', 'No.');
    expect(scenario.frame({ type: 'connection_error', error, isFinal: false }).effects()).toEqual([CLOSE]);
    expect(scenario.connection.state).toBe('WAITING_TO_RECONNECT');
  });

  test('an error refuses its subscription and no other', () => {
    const scenario = Scenario.started('a', 'b').frame(errorFrame('a', 'Unauthorized'));
    const error = expect.objectContaining({ code: 'Unauthorized' }) as unknown;
    expect(scenario.effects()).toEqual([deliver('a', { type: 'REFUSED', error })]);
    expect(scenario.frame({ type: 'start_ack', id: 'a' }).effects()).toEqual([]);
    expect(scenario.frame({ type: 'start_ack', id: 'b' }).effects()).toEqual([
      deliver('b', { type: 'SUBSCRIBED' }),
    ]);
  });

  test('an error that passes opens another connection, slower each time', () => {
    const scenario = Scenario.started('a').frame(errorFrame('a', 'UNAVAILABLE'));
    expect(scenario.effects()).toEqual([CLOSE]);
    scenario.pass(250).effects();
    scenario.open().frame(ACK).authorize('a').frame(errorFrame('a', 'UNAVAILABLE'));
    expect(scenario.connection.wakeAt()).toBe(scenario.now + 500);
  });

  test('an error without an id is ignored unless it passes', () => {
    expect(Scenario.active('a').frame(errorFrame('', 'OTHER')).effects()).toEqual([]);
    expect(Scenario.active('a').frame(errorFrame('', 'UNAVAILABLE')).effects()).toEqual([CLOSE]);
  });

  test('new credentials are tried where those of a running subscription are refused', () => {
    expect(Scenario.active('a').frame(errorFrame('a', 'UNAUTHORIZED')).effects()).toEqual([CLOSE]);
    const error = expect.objectContaining({ code: 'UNAUTHORIZED' }) as unknown;
    expect(Scenario.started('a').frame(errorFrame('a', 'UNAUTHORIZED')).effects()).toEqual([
      deliver('a', { type: 'REFUSED', error }),
    ]);
  });

  test('a subscription that AppSync ends is authorized again', () => {
    const scenario = Scenario.active('a').frame({ type: 'complete', id: 'a' });
    expect(scenario.effects()).toEqual([CLOSE]);
    expect(scenario.connection.state).toBe('WAITING_TO_RECONNECT');
  });

  test('the end of a subscription that was stopped is nothing new', () => {
    const scenario = Scenario.active('a', 'b');
    scenario.connection.unsubscribe('a', scenario.now);
    scenario.effects();
    expect(scenario.frame({ type: 'complete', id: 'a' }).effects()).toEqual([]);
  });
});

describe('credentials that fail', () => {
  const refused = new ParlanceError('CREDENTIALS', 'Signed out.');
  const unreachable = new ParlanceError('NETWORK', 'The issuer could not be reached.');

  function fail(scenario: Scenario, id: string | undefined, error: ParlanceError): Effect[] {
    scenario.effects();
    scenario.connection.onCredentialsFailed(scenario.socket, id, error, LONGEST, scenario.now);
    return scenario.effects();
  }

  test('for the socket refuse all subscriptions', () => {
    const signal = { type: 'REFUSED', error: refused };
    expect(fail(new Scenario().subscribe('a', 'b'), undefined, refused)).toEqual([
      deliver('a', signal),
      deliver('b', signal),
      CLOSE,
    ]);
  });

  test('for a subscription refuse that one', () => {
    const scenario = new Scenario().subscribe('a', 'b').open().frame(ACK);
    expect(fail(scenario, 'a', refused)).toEqual([deliver('a', { type: 'REFUSED', error: refused })]);
    expect(scenario.connection.state).toBe('CONNECTED');
  });

  test.each([[undefined], ['a']])('for a while are asked for again later (%s)', (id) => {
    const scenario = new Scenario().subscribe('a').open().frame(ACK);
    expect(fail(scenario, id, unreachable)).toEqual([CLOSE]);
    expect(scenario.connection.state).toBe('WAITING_TO_RECONNECT');
  });
});

describe('the network', () => {
  const network = (scenario: Scenario, isOnline: boolean): Effect[] => {
    scenario.connection.onNetwork(isOnline, LONGEST, scenario.now);
    return scenario.effects();
  };

  test('that is gone closes the connection, and opens another as soon as it is back', () => {
    const scenario = Scenario.active('a');
    expect(network(scenario, false)).toEqual([CLOSE]);
    expect(scenario.connection.state).toBe('OFFLINE');
    expect(network(scenario, true)).toEqual([open(2)]);
    expect(scenario.connection.state).toBe('CONNECTING');
  });

  test('that is gone does not end the tries: a server on the same machine is there', () => {
    const scenario = Scenario.active('a');
    network(scenario, false);
    expect(scenario.pass(250).effects()).toEqual([open(2)]);
    expect(scenario.connection.state).toBe('OFFLINE');
    scenario.open().frame(ACK).effects();
    expect(scenario.connection.state).toBe('CONNECTED');
  });

  test('that is back makes the next delays short again', () => {
    const scenario = Scenario.active('a');
    network(scenario, false);
    for (const wait of [250, 500, 1_000]) {
      scenario.pass(wait).effects();
      scenario.lose().effects();
    }
    network(scenario, true);
    scenario.lose().effects();
    expect(scenario.connection.wakeAt()).toBe(scenario.now + 250);
  });

  test('that is gone before the first connection leaves it to the tries', () => {
    const scenario = new Scenario();
    network(scenario, false);
    expect(scenario.connection.state).toBe('CLOSED');
    scenario.subscribe('a');
    expect(scenario.connection.state).toBe('OFFLINE');
  });

  test('that is still there changes nothing', () => {
    expect(network(Scenario.active('a'), true)).toEqual([]);
    expect(network(Scenario.waiting('a'), true)).toEqual([]);
  });
});

describe('a page that is shown again', () => {
  const show = (scenario: Scenario): Effect[] => {
    scenario.connection.onShown(LONGEST, scenario.now);
    return scenario.effects();
  };

  test('does not trust a connection that missed a keep-alive', () => {
    expect(show(Scenario.active('a').pass(74_999))).toEqual([]);
    expect(show(Scenario.active('a').pass(75_000))).toEqual([CLOSE]);
  });

  test('leaves a connection alone that is being opened', () => {
    expect(show(new Scenario().subscribe('a'))).toEqual([]);
    expect(show(Scenario.waiting('a'))).toEqual([]);
  });
});

test('closing ends everything without a signal, and refuses what follows', () => {
  const scenario = Scenario.active('a', 'b');
  scenario.connection.close();
  expect(scenario.effects()).toEqual([CLOSE]);
  expect(scenario.connection.state).toBe('CLOSED');
  expect(scenario.lose().frame({ type: 'data', id: 'a', data: {} }).effects()).toEqual([]);
  scenario.connection.subscribe('c', 'operation c', scenario.now);
  const error = expect.objectContaining({ code: 'CLOSED' }) as unknown;
  expect(scenario.effects()).toEqual([deliver('c', { type: 'REFUSED', error })]);
});
