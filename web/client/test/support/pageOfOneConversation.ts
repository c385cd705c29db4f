/** What a page of one conversation imports. */
export { createClient, createConversation, ParlanceError } from '../../src/index.js';
