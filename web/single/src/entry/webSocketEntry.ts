/** The WebSocket API of API Gateway. */
import { ANSWER_TIMEOUT, Deadline, parseJson, type OpenConnection } from './connection.js';

/** API Gateway closes a connection after ten minutes without a message. In ms. */
const PING_INTERVAL = 300_000;

/** `url`: the output WebSocketUrl. `credential`: an API key or a token. */
export function webSocketEntry(url: string, credential: string): OpenConnection {
  return (observer) => {
    const socket = new WebSocket(url, ['parlance', credential]);
    let isClosed = false;
    const end = (): void => {
      if (isClosed) return;
      isClosed = true;
      isAlive.clear();
      clearInterval(pings);
      socket.close();
      observer.onClose(undefined);
    };
    const isAlive = new Deadline(end);
    isAlive.start(ANSWER_TIMEOUT);
    const pings = setInterval(() => {
      isAlive.start(ANSWER_TIMEOUT);
      socket.send(JSON.stringify({ action: 'ping' }));
    }, PING_INTERVAL);
    socket.addEventListener('open', () => {
      if (isClosed) return;
      isAlive.clear();
      observer.onOpen();
    });
    socket.addEventListener('message', ({ data }) => {
      if (isClosed) return;
      isAlive.clear();
      observer.onMessage(parseJson(data));
    });
    // An error is always followed by it.
    socket.addEventListener('close', end);
    return {
      send: (message) => {
        socket.send(JSON.stringify(message));
      },
      close: () => {
        isClosed = true;
        isAlive.clear();
        clearInterval(pings);
        socket.close();
      },
    };
  };
}
