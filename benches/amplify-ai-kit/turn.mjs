// One turn of the handler in the bundle that the first argument names; prints the process's peak memory.
import { createRequire } from 'node:module';

const { handler } = createRequire(import.meta.url)(process.argv[2]);
console.debug = () => {};
await handler({
  conversationId: 'conversation',
  currentMessageId: 'message',
  streamResponse: true,
  responseMutation: { name: 'createAssistantResponseStream', inputTypeName: 'Input', selectionSet: 'id' },
  graphqlApiEndpoint: process.env.GRAPHQL_URL,
  modelConfiguration: {
    modelId: 'model',
    systemPrompt: 'Count.',
    region: 'us-east-1',
    inferenceConfiguration: {},
  },
  request: { headers: { authorization: 'token' } },
  messageHistoryQuery: {
    getQueryName: 'getMessage',
    getQueryInputTypeName: 'Input',
    listQueryName: 'listMessages',
    listQueryInputTypeName: 'Input',
    listQueryLimit: 1000,
  },
});
console.log(JSON.stringify({ residentKilobytes: process.resourceUsage().maxRSS }));
process.exit();
