/**
 * Writes src/generated/schema.ts: the types of what the documents select, of the inputs and of the enums,
 * from schema.graphql.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { codegen } from '@graphql-codegen/core';
import * as operations from '@graphql-codegen/typescript-operations';
import { parse } from 'graphql';
import { runnerImport } from 'vite';

const root = new URL('..', import.meta.url);
const appSync = 'scalar AWSDateTime\nscalar AWSJSON\ndirective @aws_api_key on OBJECT | FIELD_DEFINITION\n';
const schema = readFileSync(new URL('../../schema.graphql', root), 'utf8');

const load = async (path) => (await runnerImport(new URL(path, root).pathname)).module;
const { buildDocuments } = await load('src/graphql/documents.ts');
const { buildAdministratorDocuments } = await load('src/graphql/administratorDocuments.ts');
const fragments = new Map();
const select = (type, fields, name = type) => {
  fragments.set(name, `fragment ${name} on ${type} { ${fields} }`);
  return `{ ...${name} }`;
};
const documents = { ...buildDocuments(select), ...buildAdministratorDocuments(select) };
const text = [...fragments.values(), ...Object.values(documents)].join('\n');

const filename = new URL('src/generated/schema.ts', root).pathname;
const output = await codegen({
  filename,
  schema: parse(appSync + schema),
  documents: [{ location: 'documents.ts', document: parse(text) }],
  config: {},
  plugins: [
    {
      operations: {
        omitOperationSuffix: true,
        inlineFragmentTypes: 'combine',
        skipTypename: true,
        enumsAsTypes: true,
        immutableTypes: true,
        useTypeImports: true,
        scalars: { ID: 'string', AWSDateTime: 'string', AWSJSON: 'string' },
      },
    },
  ],
  pluginMap: { operations },
});
mkdirSync(new URL('src/generated/', root), { recursive: true });
writeFileSync(filename, output);
