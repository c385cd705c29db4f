// The module @aws-appsync/utils/dynamodb: builds request documents for a DynamoDB data source.
import { dynamodb, mapValues } from 'appsync/dynamodb_values';
import { toExpression } from 'appsync/transform';

const { toDynamoDB, toMapValues } = dynamodb;
const { isArray } = Array;

export const { toStringSet, toNumberSet, toBinarySet } = dynamodb;

const withoutNullish = (object) =>
  Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined && value !== null));

const condition = (filter) => {
  if (filter === undefined || filter === null) return undefined;
  const expression = toExpression(filter);
  return expression && withoutEmptyValues(expression);
};

const withoutEmptyValues = ({ expressionValues, ...rest }) =>
  Object.keys(expressionValues).length === 0 ? rest : { ...rest, expressionValues };

/**
 * Creates the aliases `#expName_1` … for attribute names and `:expValue_1` … for values, one alias per name.
 */
const createAliases = () => {
  const expressionNames = {};
  const expressionValues = {};
  const nameAlias = (attribute) => {
    const existing = Object.keys(expressionNames).find((alias) => expressionNames[alias] === attribute);
    const alias = existing ?? `#expName_${Object.keys(expressionNames).length + 1}`;
    expressionNames[alias] = attribute;
    return alias;
  };
  const valueAlias = (value) => {
    const alias = `:expValue_${Object.keys(expressionValues).length + 1}`;
    expressionValues[alias] = toDynamoDB(value);
    return alias;
  };
  return { expressionNames, expressionValues, nameAlias, valueAlias };
};

const projection = (paths) => {
  if (paths === undefined || paths === null) return undefined;
  const { expressionNames, nameAlias } = createAliases();
  const aliasPart = (part) => part.replace(/^[^[]+/, nameAlias);
  const expression = paths.map((path) => path.split('.').map(aliasPart).join('.')).join(', ');
  return { expression, expressionNames };
};

const operation = (type, members) => ({ type: `OPERATION_${type}`, ...members });

export const operations = {
  add: (value) => operation('ADD', { value }),
  remove: () => operation('REMOVE'),
  replace: (value) => operation('REPLACE', { value }),
  increment: (by = 1) => operation('INCREMENT', { by }),
  decrement: (by = 1) => operation('DECREMENT', { by }),
  append: (items) => operation('APPEND', { items }),
  prepend: (items) => operation('PREPEND', { items }),
  updateListItem: (value, index) => operation('UPDATE_LIST_ITEM', { value, index }),
};

const isOperation = (value) => typeof value?.type === 'string' && value.type.startsWith('OPERATION_');

/** The SET assignments of one attribute. */
const assignments = (name, value, valueAlias) => {
  if (isArray(value) && value.some(isOperation)) {
    return value.flatMap((item) => assignments(name, item, valueAlias));
  }
  switch (isOperation(value) ? value.type : 'OPERATION_REPLACE') {
    case 'OPERATION_INCREMENT': return [`${name} = ${name} + ${valueAlias(value.by)}`];
    case 'OPERATION_DECREMENT': return [`${name} = ${name} - ${valueAlias(value.by)}`];
    case 'OPERATION_APPEND': return [`${name} = list_append(${name}, ${valueAlias(value.items)})`];
    case 'OPERATION_PREPEND': return [`${name} = list_append(${valueAlias(value.items)}, ${name})`];
    case 'OPERATION_UPDATE_LIST_ITEM': return [`${name}[${value.index}] = ${valueAlias(value.value)}`];
    default: return [`${name} = ${valueAlias(isOperation(value) ? value.value : value)}`];
  }
};

const updateExpression = (changes) => {
  const { expressionNames, expressionValues, nameAlias, valueAlias } = createAliases();
  const entries = Object.entries(changes).filter(([, value]) => value !== undefined);
  const isRemoval = (value) => isOperation(value) && value.type === 'OPERATION_REMOVE';
  const set = entries
    .filter(([, value]) => !isRemoval(value))
    .flatMap(([attribute, value]) => assignments(nameAlias(attribute), value, valueAlias));
  const remove = entries.filter(([, value]) => isRemoval(value)).map(([attribute]) => nameAlias(attribute));
  const clauses = [set.length > 0 && `SET ${set.join(', ')}`, remove.length > 0 && `REMOVE ${remove.join(', ')}`];
  const expression = clauses.filter((clause) => clause).join(' ');
  return withoutEmptyValues({ expression, expressionNames, expressionValues });
};

const versioningMembers = ({ customPartitionKey, populateIndexFields, _version }) =>
  ({ customPartitionKey, populateIndexFields, _version });

export const get = ({ key, consistentRead, projection: paths }) =>
  withoutNullish({ operation: 'GetItem', key: toMapValues(key), consistentRead, projection: projection(paths) });

export const put = ({ key, item, condition: filter, ...rest }) =>
  withoutNullish({
    operation: 'PutItem',
    key: toMapValues(key),
    attributeValues: toMapValues(item),
    condition: condition(filter),
    ...versioningMembers(rest),
  });

export const update = ({ key, update: changes, condition: filter, ...rest }) =>
  withoutNullish({
    operation: 'UpdateItem',
    key: toMapValues(key),
    update: updateExpression(changes),
    condition: condition(filter),
    ...versioningMembers(rest),
  });

export const remove = ({ key, condition: filter, ...rest }) =>
  withoutNullish({ operation: 'DeleteItem', key: toMapValues(key), condition: condition(filter), ...versioningMembers(rest) });

const listMembers = ({ filter, projection: paths, ...rest }) =>
  ({ ...rest, filter: condition(filter), projection: projection(paths) });

const pick = (object, names) => Object.fromEntries(names.map((name) => [name, object[name]]));

const QUERY_MEMBERS = ['index', 'limit', 'nextToken', 'consistentRead', 'scanIndexForward', 'select', 'filter', 'projection'];
const SCAN_MEMBERS = [...QUERY_MEMBERS, 'totalSegments', 'segment'];
const SYNC_MEMBERS = ['basePartitionKey', 'deltaIndexName', 'limit', 'nextToken', 'lastSync', 'filter'];

export const query = (input) =>
  withoutNullish({ operation: 'Query', query: condition(input.query), ...listMembers(pick(input, QUERY_MEMBERS)) });

export const scan = (input) => withoutNullish({ operation: 'Scan', ...listMembers(pick(input, SCAN_MEMBERS)) });

export const sync = (input) => withoutNullish({ operation: 'Sync', ...listMembers(pick(input, SYNC_MEMBERS)) });

export const batchGet = ({ tables }) => ({
  operation: 'BatchGetItem',
  tables: mapValues(tables, ({ keys, consistentRead, projection: paths }) =>
    withoutNullish({ keys: keys.map(toMapValues), consistentRead, projection: projection(paths) })),
});

export const batchPut = ({ tables }) => ({
  operation: 'BatchPutItem',
  tables: mapValues(tables, (items) => items.map(toMapValues)),
});

export const batchDelete = ({ tables }) => ({
  operation: 'BatchDeleteItem',
  tables: mapValues(tables, (keys) => keys.map(toMapValues)),
});

export const transactGet = ({ items }) => ({
  operation: 'TransactGetItems',
  transactItems: items.map(({ table, key, projection: paths }) =>
    withoutNullish({ table, key: toMapValues(key), projection: projection(paths) })),
});

const TRANSACT_WRITE_ITEMS = {
  putItem: { operation: 'PutItem', members: ({ item }) => ({ attributeValues: toMapValues(item) }) },
  updateItem: { operation: 'UpdateItem', members: ({ update: changes }) => ({ update: updateExpression(changes) }) },
  deleteItem: { operation: 'DeleteItem', members: () => ({}) },
  conditionCheck: { operation: 'ConditionCheck', members: () => ({}) },
};

const transactWriteItem = (item) => {
  const [kind, input] = Object.entries(item)[0];
  const { operation: name, members } = TRANSACT_WRITE_ITEMS[kind];
  const { table, key, condition: filter } = input;
  return withoutNullish({ table, operation: name, key: toMapValues(key), ...members(input), condition: condition(filter) });
};

export const transactWrite = ({ items }) => ({
  operation: 'TransactWriteItems',
  transactItems: items.map(transactWriteItem),
});
