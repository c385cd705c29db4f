import type { AddressInfo } from 'node:net';
import { WebSocketServer, type WebSocket } from 'ws';

type Frame = Readonly<Record<string, unknown>> & { readonly type: string; readonly id?: string };

/** A server of AppSync's realtime protocol that does what a test says. */
export class RealtimeServer {
  readonly frames: Frame[] = [];
  /** The sub-protocols of each connection. */
  readonly protocols: string[][] = [];
  readonly sockets: WebSocket[] = [];
  /** What is answered to a frame. By default everything is acknowledged. */
  answer: (frame: Frame) => unknown = acknowledge;
  readonly #server: WebSocketServer;

  private constructor(server: WebSocketServer) {
    this.#server = server;
    server.on('connection', (socket, request) => {
      this.sockets.push(socket);
      this.protocols.push(
        (request.headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim()),
      );
      socket.on('message', (text: Buffer) => {
        const frame = JSON.parse(text.toString()) as Frame;
        this.frames.push(frame);
        this.send(this.answer(frame), socket);
      });
    });
  }

  static async start(): Promise<RealtimeServer> {
    const server = new WebSocketServer({ port: 0, handleProtocols: () => 'graphql-ws' });
    await new Promise((resolve) => server.once('listening', resolve));
    return new RealtimeServer(server);
  }

  get url(): string {
    return `http://localhost:${(this.#server.address() as AddressInfo).port}/graphql`;
  }

  /** The number of connections that are open. */
  get open(): number {
    return this.#server.clients.size;
  }

  /** The ids of the subscriptions that were started, in order. */
  get started(): string[] {
    return this.frames.flatMap(({ type, id }) => (type === 'start' && id !== undefined ? [id] : []));
  }

  send(frame: unknown, socket = this.sockets.at(-1)): void {
    if (frame !== undefined) socket?.send(JSON.stringify(frame));
  }

  update(id: string, data: unknown): void {
    this.send({ type: 'data', id, payload: { data } });
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.terminate();
    await new Promise((resolve) => {
      this.#server.close(resolve);
    });
  }
}

export function acknowledge({ type, id }: Frame): unknown {
  switch (type) {
    case 'connection_init':
      return { type: 'connection_ack', payload: { connectionTimeoutMs: 300_000 } };
    case 'start':
      return { type: 'start_ack', id };
    case 'stop':
      return { type: 'complete', id };
    default:
      return undefined;
  }
}
