/**
 * Writes src/generated/schema.ts from schema.graphql: a type for each selection of the documents, with its name, and
 * the types of variables, inputs and enums.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { codegen } from '@graphql-codegen/core';
import * as operations from '@graphql-codegen/typescript-operations';
import {
  buildASTSchema,
  getNamedType,
  Kind,
  parse,
  print,
  TypeInfo,
  visit,
  visitWithTypeInfo,
} from 'graphql';
import { runnerImport } from 'vite';

const root = new URL('..', import.meta.url);
// AppSync defines its scalars and directives itself.
const appSync = 'scalar AWSDateTime\nscalar AWSJSON\n';
const schema = parse(appSync + readFileSync(new URL('../../schema.graphql', root), 'utf8'));

const load = async (name) => {
  const path = fileURLToPath(new URL(`src/graphql/${name}.ts`, root));
  return (await runnerImport(path)).module;
};
const { documents } = await load('documents');
const { administratorDocuments } = await load('administratorDocuments');
const selections = { ...(await load('selections')), ...(await load('administratorSelections')) };

/** The names of types by the text of their selections. */
const names = new Map(
  Object.entries(selections).map(([name, text]) => [
    print(parse(text)),
    name.charAt(0).toUpperCase() + name.slice(1),
  ]),
);
/** The code generator names the types of fragments: each selection becomes one. */
const fragments = new Map();

function withFragments(document) {
  const types = new TypeInfo(buildASTSchema(schema, { assumeValidSDL: true }));
  const enter = (field) => {
    const name = field.selectionSet && names.get(print(field.selectionSet));
    if (!name) return undefined;
    addFragment(name, getNamedType(types.getType()).name, field.selectionSet);
    const spread = { kind: Kind.FRAGMENT_SPREAD, name: { kind: Kind.NAME, value: name } };
    return { ...field, selectionSet: { kind: Kind.SELECTION_SET, selections: [spread] } };
  };
  return visit(document, visitWithTypeInfo(types, { Field: { enter } }));
}

function addFragment(name, type, selectionSet) {
  if (fragments.has(name)) return;
  const fragment = parse(`fragment ${name} on ${type} ${print(selectionSet)}`);
  fragments.set(name, print(withFragments(fragment)));
}

const all = Object.values({ ...documents, ...administratorDocuments });
const operationsText = all.map((text) => print(withFragments(parse(text))));

const filename = fileURLToPath(new URL('src/generated/schema.ts', root));
const output = await codegen({
  filename,
  schema,
  documents: [
    { location: 'documents.ts', document: parse([...fragments.values(), ...operationsText].join('\n')) },
  ],
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
