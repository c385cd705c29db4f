import type { Message } from './snapshot.js';

/** The text of a user's message, or the texts of an answer, joined. */
export function messageText(message: Message): string {
  if (message.role === 'user') return message.text;
  return message.parts.map((part) => (part.type === 'text' ? part.text : '')).join('');
}
