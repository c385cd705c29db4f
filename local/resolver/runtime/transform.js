// util.transform: converts filter objects to DynamoDB expressions, subscription filters and queries of
// OpenSearch.
import { dynamodb, isMap } from 'appsync/dynamodb_values';

const { isArray } = Array;

const COMPARISONS = { eq: '=', ne: '<>', le: '<=', lt: '<', ge: '>=', gt: '>' };
const FUNCTIONS = { contains: 'contains', notContains: 'NOT contains', beginsWith: 'begins_with' };
const TYPES = {
  _null: 'NULL', string: 'S', stringSet: 'SS', number: 'N', numberSet: 'NS',
  binary: 'B', binarySet: 'BS', boolean: 'BOOL', list: 'L', map: 'M',
};

class InvalidFilter {}

const checkValid = (isValid) => {
  if (!isValid) throw new InvalidFilter();
};

/** The expression of a filter or condition with its names and values, or null for an invalid filter. */
export const toExpression = (filter) => {
  try {
    return render(filter);
  } catch (error) {
    if (error instanceof InvalidFilter) return null;
    throw error;
  }
};

const render = (filter) => {
  const expressionNames = {};
  const expressionValues = {};

  const bind = (name, value) => {
    expressionValues[`:${name}`] = dynamodb.toDynamoDB(value);
    return `:${name}`;
  };

  const between = (subject, bounds, name) => {
    checkValid(isArray(bounds) && bounds.length > 1);
    return `(${subject} BETWEEN ${bind(`${name}_start`, bounds[0])} AND ${bind(`${name}_end`, bounds[1])})`;
  };

  const isIn = (subject, values, name) => {
    checkValid(isArray(values));
    const aliases = values.map((value, index) => bind(`${name}_${index}`, value));
    return aliases.length === 0 ? '(null)' : `(${subject} IN (${aliases.join(', ')}))`;
  };

  const exists = (subject, expected) => {
    checkValid(typeof expected === 'boolean');
    return expected ? `(attribute_exists(${subject}))` : `(attribute_not_exists(${subject}))`;
  };

  const hasType = (subject, type, name) => {
    checkValid(Object.hasOwn(TYPES, type));
    return `(attribute_type(${subject},${bind(name, TYPES[type])}))`;
  };

  const operation = (subject, alias, operator, operand, prefix) => {
    const name = `${prefix}_${operator}`;
    if (operator === 'between') return between(subject, operand, name);
    if (operator === 'in') return isIn(subject, operand, name);
    if (operator === 'attributeExists') return exists(subject, operand);
    if (operator === 'attributeType') return hasType(subject, operand, name);
    if (operator === 'size') return operations(`size(${alias})`, alias, operand, name);
    if (Object.hasOwn(FUNCTIONS, operator)) return `(${FUNCTIONS[operator]}(${subject},${bind(name, operand)}))`;
    checkValid(Object.hasOwn(COMPARISONS, operator));
    return `(${subject} ${COMPARISONS[operator]} ${bind(name, operand)})`;
  };

  const operations = (subject, alias, operands, prefix) => {
    checkValid(isMap(operands));
    const clauses = Object.entries(operands).map(([operator, operand]) =>
      operation(subject, alias, operator, operand, prefix));
    return joinClauses(clauses, 'AND');
  };

  const field = (name, operands, prefix) => {
    expressionNames[`#${name}`] = name;
    return operations(`#${name}`, `#${name}`, operands, `${prefix}${name}`);
  };

  const group = (kind, members, prefix) => {
    checkValid(isArray(members));
    const clauses = members.map((member, index) => conjunction(member, `${prefix}${kind}_${index}_`));
    return joinClauses(clauses, kind.toUpperCase());
  };

  const clause = (name, value, prefix) => {
    if (name === 'and' || name === 'or') return group(name, value, prefix);
    if (name === 'not') return `(NOT ${conjunction(value, `${prefix}not_`)})`;
    return field(name, value, prefix);
  };

  const conjunction = (members, prefix) => {
    checkValid(isMap(members));
    return Object.entries(members).map(([name, value]) => clause(name, value, prefix)).join(' AND ');
  };

  return { expression: conjunction(filter, ''), expressionNames, expressionValues };
};

const joinClauses = (clauses, operator) => (clauses.length > 1 ? `(${clauses.join(` ${operator} `)})` : clauses.join(''));

/**
 * Converts a filter to disjunctive form: each operator of a field and each member of an `or` is an
 * alternative.
 */
export const toSubscriptionFilter = (filter, ignored = [], rules = {}) => {
  if (!isMap(filter)) return null;
  const groups = combine(expand(filter, ignored ?? []), alternatives(rules ?? {}));
  return { filterGroup: groups.filter((filters) => filters.length > 0).map((filters) => ({ filters })) };
};

const expand = (filter, ignored) =>
  Object.entries(filter)
    .filter(([name]) => !ignored.includes(name))
    .map(([name, value]) => expandMember(name, value, ignored))
    .reduce(combine, [[]]);

const expandMember = (name, value, ignored) => {
  if (name === 'and') return value.map((member) => expand(member, ignored)).reduce(combine, [[]]);
  if (name === 'or') return value.flatMap((member) => expand(member, ignored));
  return alternatives({ [name]: value });
};

const alternatives = (fields) =>
  Object.entries(fields).flatMap(([fieldName, operands]) =>
    Object.entries(operands).map(([operator, value]) => [{ fieldName, operator, value }]));

const combine = (groups, alternatives) =>
  alternatives.length === 0 ? groups : groups.flatMap((group) => alternatives.map((alternative) => [...group, ...alternative]));

/** The query as JSON text. */
export const toElasticsearchQueryDSL = (query) => (isMap(query) ? JSON.stringify(searchQuery(query)) : null);

const searchQuery = (query) =>
  mustMatchAll(Object.entries(query).map(([name, value]) => {
    if (name === 'and') return { bool: { must: value.map(searchQuery) } };
    if (name === 'or') return { bool: { should: value.map(searchQuery) } };
    if (name === 'not') return { bool: { must_not: searchQuery(value) } };
    return mustMatchAll(Object.entries(value).map(([operator, operand]) => searchTerm(name, operator, operand)));
  }));

const mustMatchAll = (queries) => (queries.length === 1 ? queries[0] : { bool: { must: queries } });

const searchTerm = (field, operator, operand) => {
  switch (operator) {
    case 'eq': return { term: { [field]: operand } };
    case 'ne': return { bool: { must_not: { term: { [field]: operand } } } };
    case 'range': return { range: { [field]: { gte: operand[0], lte: operand[1] } } };
    case 'gt': case 'gte': case 'lt': case 'lte': return { range: { [field]: { [operator]: operand } } };
    case 'match': return { match: { [field]: operand } };
    case 'matchPhrase': return { match_phrase: { [field]: operand } };
    case 'matchPhrasePrefix': return { match_phrase_prefix: { [field]: operand } };
    case 'multiMatch': return { multi_match: { fields: [field], query: operand } };
    case 'exists': return operand ? { exists: { field } } : { bool: { must_not: { exists: { field } } } };
    default: return { [operator]: { [field]: operand } };
  }
};
