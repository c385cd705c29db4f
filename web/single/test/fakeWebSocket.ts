/** A WebSocket whose other end is the test. */
export class FakeWebSocket extends EventTarget {
  static opened: FakeWebSocket[] = [];
  readonly url: string;
  readonly protocols: readonly string[];
  readonly sent: Record<string, unknown>[] = [];
  isClosed = false;

  constructor(url: string, protocols: readonly string[]) {
    super();
    this.url = url;
    this.protocols = protocols;
    FakeWebSocket.opened.push(this);
  }

  static get last(): FakeWebSocket {
    const last = FakeWebSocket.opened.at(-1);
    if (!last) throw new Error('no WebSocket was opened');
    return last;
  }

  send(text: string): void {
    this.sent.push(JSON.parse(text) as Record<string, unknown>);
  }

  close(): void {
    this.isClosed = true;
  }

  open(): void {
    this.dispatchEvent(new Event('open'));
  }

  receive(frame: unknown): void {
    const data = typeof frame === 'string' ? frame : JSON.stringify(frame);
    this.dispatchEvent(Object.assign(new Event('message'), { data }));
  }

  /** The other end closes, or cannot be reached. */
  drop(): void {
    this.dispatchEvent(new Event('close'));
  }
}
