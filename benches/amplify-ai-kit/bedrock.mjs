// A fake of Bedrock's ConverseStream over HTTP/2 without TLS: a number of deltas of five bytes, with a
// pause in milliseconds before each.
import { createServer } from 'node:http2';
import { crc32 } from 'node:zlib';

/** `sent` has the time at which each delta of the last answer was sent. */
export async function startBedrock({ count, interval }) {
  const sent = [];
  const server = createServer();
  server.on('stream', async (stream) => {
    stream.resume();
    stream.respond({ ':status': 200, 'content-type': 'application/vnd.amazon.eventstream' });
    stream.write(frame('messageStart', { role: 'assistant' }));
    const start = performance.now();
    for (let number = 1; number <= count; number += 1) {
      const wait = start + number * interval - performance.now();
      await new Promise((resolve) => setTimeout(resolve, Math.max(wait, 0)));
      const text = `${String(number).padStart(4, '0')} `;
      stream.write(frame('contentBlockDelta', { contentBlockIndex: 0, delta: { text } }));
      sent.push(performance.now());
    }
    stream.write(frame('contentBlockStop', { contentBlockIndex: 0 }));
    stream.write(frame('messageStop', { stopReason: 'end_turn' }));
    const usage = { inputTokens: 1, outputTokens: count, totalTokens: count + 1 };
    stream.end(frame('metadata', { usage, metrics: { latencyMs: 1 } }));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${server.address().port}`, sent, close: () => server.close() };
}

/** An event in the encoding application/vnd.amazon.eventstream. */
function frame(type, payload) {
  const headers = Buffer.concat([
    header(':event-type', type),
    header(':content-type', 'application/json'),
    header(':message-type', 'event'),
  ]);
  const body = Buffer.from(JSON.stringify(payload));
  const message = Buffer.alloc(12 + headers.length + body.length + 4);
  message.writeUInt32BE(message.length, 0);
  message.writeUInt32BE(headers.length, 4);
  message.writeUInt32BE(crc32(message.subarray(0, 8)), 8);
  headers.copy(message, 12);
  body.copy(message, 12 + headers.length);
  message.writeUInt32BE(crc32(message.subarray(0, -4)), message.length - 4);
  return message;
}

/** A header of type 7, a string. */
function header(name, value) {
  const length = Buffer.alloc(3);
  length.writeUInt8(7, 0);
  length.writeUInt16BE(Buffer.byteLength(value), 1);
  return Buffer.concat([Buffer.from([name.length]), Buffer.from(name), length, Buffer.from(value)]);
}
