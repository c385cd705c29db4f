// Posts an event with Amplify and prints what a subscription receives: events_over_tls.js URL API_KEY
import { Amplify } from 'aws-amplify';
import { events } from 'aws-amplify/data';
import WebSocket from 'ws';

globalThis.WebSocket ??= WebSocket;

const [endpoint, apiKey] = process.argv.slice(2);
Amplify.configure({
  API: { Events: { endpoint, region: 'us-east-1', defaultAuthMode: 'apiKey', apiKey } },
});
const channel = await events.connect('/default/tls');
await new Promise((resolve, reject) => {
  const next = ({ event }) => resolve(console.log(JSON.stringify(event)));
  const subscription = channel.subscribe({ next, error: reject });
  subscription.ready.then(() => events.post('/default/tls', { a: 1 })).catch(reject);
});
process.exit();
