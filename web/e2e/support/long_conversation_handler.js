/* global fetch */
// A handler that answers the first message of a conversation with a history: it writes as many events as the
// message says, such as `2000`, and ends the turn. The table's items are those of the real handler.
const { AWS_LAMBDA_RUNTIME_API, AWS_ENDPOINT_URL_DYNAMODB, AWS_ACCESS_KEY_ID, TABLE_NAME } = process.env;
const INVOCATIONS = `http://${AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime/invocation`;
const BATCH = 25;

async function answer({ conversationId, turnId, question }) {
  const partition = { S: `CONVERSATION#${conversationId}` };
  const count = Number(question.content[0].text);
  const { Item: first } = await table('GetItem', { Key: { pk: partition, sk: sortKey(1) } });
  const events = Array.from({ length: count - 1 }, (_, index) => eventAt(index + 2, first));
  for (let start = 0; start < events.length; start += BATCH) {
    const requests = events.slice(start, start + BATCH).map((Item) => ({ PutRequest: { Item } }));
    await table('BatchWriteItem', { RequestItems: { [TABLE_NAME]: requests } });
  }
  await table('PutItem', { Item: await lastTurn(partition, turnId, count) });
  await table('UpdateItem', {
    Key: { pk: partition, sk: { S: 'META' } },
    UpdateExpression: 'SET eventCount = :count REMOVE activeTurnId',
    ExpressionAttributeValues: { ':count': { N: String(count) } },
  });
}

/** The newest turn has ended; the first one stays as it is. */
async function lastTurn(partition, firstTurnId, count) {
  const { Item: first } = await table('GetItem', {
    Key: { pk: partition, sk: { S: `TURN#${firstTurnId}` } },
  });
  const position = (number) => ({ N: String(number) });
  return {
    ...first,
    sk: { S: `TURN#turn-${count / 2}` },
    id: { S: `turn-${count / 2}` },
    status: { S: 'COMPLETED' },
    attempt: { N: '1' },
    questionPosition: position(count - 1),
    answerPosition: position(count - 1),
    runPosition: position(count - 1),
    lastPosition: position(count),
  };
}

/** Answers have even positions. */
function eventAt(position, first) {
  const turn = Math.ceil(position / 2);
  const turnId = turn === 1 ? first.turnId : { S: `turn-${turn}` };
  const common = { ...first, sk: sortKey(position), position: { N: String(position) }, turnId };
  if (position % 2 === 1) return { ...common, id: turnId, content: content(`Question ${turn}`) };
  return {
    ...common,
    id: { S: `${turnId.S}-1-1` },
    attempt: { N: '1' },
    sender: { M: { kind: { S: 'AGENT' }, id: { S: 'default' } } },
    content: content(answerText(turn)),
    text: { S: answerText(turn) },
    stopReason: { S: 'END_TURN' },
  };
}

/** Of different heights: up to eight paragraphs, some with a list or code. */
function answerText(turn) {
  const paragraphs = Array.from({ length: (turn % 8) + 1 }, (_, index) => {
    return `Paragraph ${index + 1} of answer ${turn}. ${'Some more words follow here. '.repeat((turn * 7) % 11)}`;
  });
  if (turn % 5 === 0) paragraphs.push('- one\n- two\n- three');
  if (turn % 7 === 0) paragraphs.push('```js\nconst answer = 42;\nconsole.log(answer);\n```');
  return `Answer ${turn}\n\n${paragraphs.join('\n\n')}`;
}

const sortKey = (position) => ({ S: `EVENT#${String(position).padStart(8, '0')}` });
const content = (text) => ({ L: [{ M: { text: { S: text } } }] });

/** The local server knows a caller by the access key alone, so the signature is none. */
async function table(operation, input) {
  const credential = `${AWS_ACCESS_KEY_ID}/20260101/us-east-1/dynamodb/aws4_request`;
  const response = await fetch(AWS_ENDPOINT_URL_DYNAMODB, {
    method: 'POST',
    headers: {
      'content-type': 'application/x-amz-json-1.0',
      'x-amz-target': `DynamoDB_20120810.${operation}`,
      'x-amz-date': '20260101T000000Z',
      authorization: `AWS4-HMAC-SHA256 Credential=${credential}, SignedHeaders=host, Signature=none`,
    },
    body: JSON.stringify(operation === 'BatchWriteItem' ? input : { TableName: TABLE_NAME, ...input }),
  });
  if (!response.ok) throw new Error(`${operation}: ${await response.text()}`);
  return response.json();
}

for (;;) {
  const invocation = await fetch(`${INVOCATIONS}/next`);
  const id = invocation.headers.get('lambda-runtime-aws-request-id');
  await answer(await invocation.json());
  await fetch(`${INVOCATIONS}/${id}/response`, { method: 'POST', body: 'null' });
}
