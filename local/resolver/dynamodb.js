// The module @aws-appsync/utils/dynamodb: request documents for a DynamoDB data source.
import { dynamodb, mapValues } from 'appsync/values';
import { toExpression } from 'appsync/transform';

const { toDynamoDB, toMapValues } = dynamodb;
const { isArray } = Array;

export const { toStringSet, toNumberSet, toBinarySet } = dynamodb;

const present = (object) =>
  Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined && value !== null));

const condition = (filter) => {
  if (filter === undefined || filter === null) return undefined;
  const expression = toExpression(filter);
  return expression && withoutEmptyValues(expression);
};

const withoutEmptyValues = ({ expressionValues, ...rest }) =>
  Object.keys(expressionValues).length === 0 ? rest : { ...rest, expressionValues };

/** Hands out `#expName_1` … for attribute names and `:expValue_1` … for values, one alias per name. */
const aliases = () => {
  const expressionNames = {};
  const expressionValues = {};
  const nameOf = (attribute) => {
    const known = Object.keys(expressionNames).find((alias) => expressionNames[alias] === attribute);
    const alias = known ?? `#expName_${Object.keys(expressionNames).length + 1}`;
    expressionNames[alias] = attribute;
    return alias;
  };
  const valueOf = (value) => {
    const alias = `:expValue_${Object.keys(expressionValues).length + 1}`;
    expressionValues[alias] = toDynamoDB(value);
    return alias;
  };
  return { expressionNames, expressionValues, nameOf, valueOf };
};

const projection = (paths) => {
  if (paths === undefined || paths === null) return undefined;
  const { expressionNames, nameOf } = aliases();
  const step = (part) => part.replace(/^[^[]+/, nameOf);
  const expression = paths.map((path) => path.split('.').map(step).join('.')).join(', ');
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

/** The assignments that one attribute asks for. */
const assignments = (name, value, valueOf) => {
  if (isArray(value) && value.some(isOperation)) {
    return value.flatMap((item) => assignments(name, item, valueOf));
  }
  switch (isOperation(value) ? value.type : 'OPERATION_REPLACE') {
    case 'OPERATION_INCREMENT': return [`${name} = ${name} + ${valueOf(value.by)}`];
    case 'OPERATION_DECREMENT': return [`${name} = ${name} - ${valueOf(value.by)}`];
    case 'OPERATION_APPEND': return [`${name} = list_append(${name}, ${valueOf(value.items)})`];
    case 'OPERATION_PREPEND': return [`${name} = list_append(${valueOf(value.items)}, ${name})`];
    case 'OPERATION_UPDATE_LIST_ITEM': return [`${name}[${value.index}] = ${valueOf(value.value)}`];
    default: return [`${name} = ${valueOf(isOperation(value) ? value.value : value)}`];
  }
};

const updateExpression = (changes) => {
  const { expressionNames, expressionValues, nameOf, valueOf } = aliases();
  const entries = Object.entries(changes).filter(([, value]) => value !== undefined);
  const removes = (value) => isOperation(value) && value.type === 'OPERATION_REMOVE';
  const set = entries
    .filter(([, value]) => !removes(value))
    .flatMap(([attribute, value]) => assignments(nameOf(attribute), value, valueOf));
  const remove = entries.filter(([, value]) => removes(value)).map(([attribute]) => nameOf(attribute));
  const clauses = [set.length > 0 && `SET ${set.join(', ')}`, remove.length > 0 && `REMOVE ${remove.join(', ')}`];
  const expression = clauses.filter((clause) => clause).join(' ');
  return withoutEmptyValues({ expression, expressionNames, expressionValues });
};

const versioning = ({ customPartitionKey, populateIndexFields, _version }) =>
  ({ customPartitionKey, populateIndexFields, _version });

export const get = ({ key, consistentRead, projection: paths }) =>
  present({ operation: 'GetItem', key: toMapValues(key), consistentRead, projection: projection(paths) });

export const put = ({ key, item, condition: filter, ...rest }) =>
  present({
    operation: 'PutItem',
    key: toMapValues(key),
    attributeValues: toMapValues(item),
    condition: condition(filter),
    ...versioning(rest),
  });

export const update = ({ key, update: changes, condition: filter, ...rest }) =>
  present({
    operation: 'UpdateItem',
    key: toMapValues(key),
    update: updateExpression(changes),
    condition: condition(filter),
    ...versioning(rest),
  });

export const remove = ({ key, condition: filter, ...rest }) =>
  present({ operation: 'DeleteItem', key: toMapValues(key), condition: condition(filter), ...versioning(rest) });

const listing = ({ filter, projection: paths, ...rest }) =>
  ({ ...rest, filter: condition(filter), projection: projection(paths) });

const pick = (object, names) => Object.fromEntries(names.map((name) => [name, object[name]]));

const QUERY = ['index', 'limit', 'nextToken', 'consistentRead', 'scanIndexForward', 'select', 'filter', 'projection'];
const SCAN = [...QUERY, 'totalSegments', 'segment'];
const SYNC = ['basePartitionKey', 'deltaIndexName', 'limit', 'nextToken', 'lastSync', 'filter'];

export const query = (input) =>
  present({ operation: 'Query', query: condition(input.query), ...listing(pick(input, QUERY)) });

export const scan = (input) => present({ operation: 'Scan', ...listing(pick(input, SCAN)) });

export const sync = (input) => present({ operation: 'Sync', ...listing(pick(input, SYNC)) });

export const batchGet = ({ tables }) => ({
  operation: 'BatchGetItem',
  tables: mapValues(tables, ({ keys, consistentRead, projection: paths }) =>
    present({ keys: keys.map(toMapValues), consistentRead, projection: projection(paths) })),
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
    present({ table, key: toMapValues(key), projection: projection(paths) })),
});

const TRANSACTED = {
  putItem: { operation: 'PutItem', members: ({ item }) => ({ attributeValues: toMapValues(item) }) },
  updateItem: { operation: 'UpdateItem', members: ({ update: changes }) => ({ update: updateExpression(changes) }) },
  deleteItem: { operation: 'DeleteItem', members: () => ({}) },
  conditionCheck: { operation: 'ConditionCheck', members: () => ({}) },
};

const transacted = (item) => {
  const [kind, input] = Object.entries(item)[0];
  const { operation: name, members } = TRANSACTED[kind];
  const { table, key, condition: filter } = input;
  return present({ table, operation: name, key: toMapValues(key), ...members(input), condition: condition(filter) });
};

export const transactWrite = ({ items }) => ({
  operation: 'TransactWriteItems',
  transactItems: items.map(transacted),
});
