import { readFileSync } from 'node:fs';
import {
  buildSchema,
  getNamedType,
  isObjectType,
  Kind,
  parse,
  validate,
  visit,
  visitWithTypeInfo,
  TypeInfo,
  type OperationDefinitionNode,
  type SelectionSetNode,
} from 'graphql';
import { describe, expect, test } from 'vitest';
import { administratorDocuments } from '../src/graphql/administratorDocuments.js';
import { documents } from '../src/graphql/documents.js';

const sdl = readFileSync(new URL('../../../schema.graphql', import.meta.url), 'utf8');
// AppSync defines its scalars and directives itself.
const schema = buildSchema(`scalar AWSDateTime\nscalar AWSJSON\n${sdl}`, { assumeValidSDL: true });
const entries = Object.entries({ ...documents, ...administratorDocuments });

/** tests/conventions.rs: the least that the parameter QueryDepth of template.yaml may be. */
const MAX_DEPTH = 6;

describe.each(entries)('%s', (name, text) => {
  const document = parse(text);
  const [operation] = document.definitions as [OperationDefinitionNode];

  test('is a valid operation of schema.graphql', () => {
    expect(validate(schema, document)).toEqual([]);
  });

  test('is one operation with one root field and no fragments', () => {
    expect(document.definitions).toHaveLength(1);
    expect(operation.kind).toBe(Kind.OPERATION_DEFINITION);
    expect(operation.selectionSet.selections).toHaveLength(1);
  });

  test('is named like its function', () => {
    expect(operation.name?.value).toBe(name);
  });

  test('is no deeper than deployments allow', () => {
    expect(depth(operation.selectionSet)).toBeLessThanOrEqual(MAX_DEPTH);
  });
});

test.each([
  'AgentBatch',
  'AgentMetadata',
  'Caller',
  'Citation',
  'CitedDocument',
  'Conversation',
  'ContentBlock',
  'ConversationEvent',
  'ConversationUpdate',
  'Failure',
  'Participant',
  'Sender',
  'Tool',
  'ToolCall',
  'ToolResult',
  'ToolUse',
  'Turn',
  'Usage',
  'Agent',
  'Knowledge',
])('every field of %s is selected by a document', (typeName) => {
  const type = schema.getType(typeName);
  const fields = isObjectType(type) ? Object.keys(type.getFields()) : [];
  expect([...(selectedFields().get(typeName) ?? [])].sort()).toEqual(fields.sort());
});

/** How deep the fields are nested, as AppSync counts. */
function depth(set: SelectionSetNode | undefined): number {
  const depths = (set?.selections ?? []).map((field) =>
    field.kind === Kind.FIELD ? 1 + depth(field.selectionSet) : Infinity,
  );
  return Math.max(0, ...depths);
}

function selectedFields(): Map<string, Set<string>> {
  const selected = new Map<string, Set<string>>();
  for (const [, text] of entries) {
    const types = new TypeInfo(schema);
    visit(
      parse(text),
      visitWithTypeInfo(types, {
        Field({ name }) {
          const parent = types.getParentType();
          const typeName = parent ? getNamedType(parent).name : '';
          selected.set(typeName, (selected.get(typeName) ?? new Set()).add(name.value));
        },
      }),
    );
  }
  return selected;
}
