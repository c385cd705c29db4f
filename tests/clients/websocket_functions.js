// The functions of tests/websocket/stack: a program that speaks Lambda's Runtime API. It answers as the
// functions of entry/websocket.yaml do, so that clients need not know which of them run.
import {
  ApiGatewayManagementApiClient,
  PostToConnectionCommand,
} from '@aws-sdk/client-apigatewaymanagementapi';

const { AWS_LAMBDA_FUNCTION_NAME, AWS_LAMBDA_RUNTIME_API } = process.env;
const invocations = `http://${AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime/invocation`;
// The server sets the endpoint, the region and the credentials.
const connections = new ApiGatewayManagementApiClient();

const functions = {
  Authorize({ methodArn, queryStringParameters: { token } }) {
    const Effect = token === 'refused' ? 'Deny' : 'Allow';
    const statement = { Action: 'execute-api:Invoke', Effect, Resource: methodArn };
    return { principalId: token, policyDocument: { Version: '2012-10-17', Statement: [statement] } };
  },

  Connect({ headers }) {
    const offered = headers['Sec-WebSocket-Protocol']?.split(',').map((name) => name.trim()) ?? [];
    const chosen = offered.includes('parlance') ? { 'Sec-WebSocket-Protocol': 'parlance' } : {};
    return { statusCode: 200, headers: chosen };
  },

  Disconnect: () => ({ statusCode: 200 }),

  Ping: () => ({ statusCode: 200, body: '{"type":"pong"}' }),

  async Default({ body, requestContext: { connectionId } }) {
    const { data } = JSON.parse(body);
    const message = data === 'connection' ? connectionId : `You said: ${data || 'Hello'}`;
    const command = { ConnectionId: connectionId, Data: JSON.stringify({ message }) };
    await connections.send(new PostToConnectionCommand(command));
    return { statusCode: 200 };
  },
};

const handle = functions[AWS_LAMBDA_FUNCTION_NAME.split('-').at(-1)];
for (;;) {
  const next = await fetch(`${invocations}/next`);
  const id = next.headers.get('lambda-runtime-aws-request-id');
  try {
    await post(`${id}/response`, await handle(await next.json()));
  } catch (error) {
    await post(`${id}/error`, { errorType: error.name, errorMessage: error.message });
  }
}

async function post(path, body) {
  await fetch(`${invocations}/${path}`, { method: 'POST', body: JSON.stringify(body) });
}
