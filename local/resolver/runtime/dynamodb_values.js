// util.dynamodb: converts plain values to DynamoDB attribute values. Numbers stay JSON numbers.
const { isArray } = Array;

export const mapValues = (object, convert) =>
  Object.fromEntries(Object.entries(object).map(([name, value]) => [name, convert(value)]));

const toDynamoDB = (value) => {
  if (typeof value === 'string') return { S: value };
  if (typeof value === 'number') return { N: value };
  if (typeof value === 'boolean') return { BOOL: value };
  if (value === null || value === undefined) return { NULL: null };
  return isArray(value) ? { L: value.map(toDynamoDB) } : { M: mapValues(value, toDynamoDB) };
};

const converterTo = (type) => (value) => (value === null || value === undefined ? null : { [type]: value });

const toMapValues = (object) => (object === null || object === undefined ? null : mapValues(object, toDynamoDB));

export const isMap = (value) => value !== null && typeof value === 'object' && !isArray(value);

const toS3Object = (key, bucket, region, version) => ({ S: JSON.stringify({ s3: { key, bucket, region, version } }) });

const fromS3ObjectJson = (text) => JSON.parse(text).s3;

export const dynamodb = {
  toDynamoDB,
  toString: converterTo('S'),
  toStringSet: converterTo('SS'),
  toNumber: converterTo('N'),
  toNumberSet: converterTo('NS'),
  toBinary: converterTo('B'),
  toBinarySet: converterTo('BS'),
  toBoolean: converterTo('BOOL'),
  toNull: () => ({ NULL: null }),
  toList: (value) => (isArray(value) ? toDynamoDB(value) : null),
  toMap: (value) => (isMap(value) ? toDynamoDB(value) : null),
  toMapValues,
  toS3Object,
  fromS3ObjectJson,
};
