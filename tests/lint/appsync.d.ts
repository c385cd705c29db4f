// Exactly what APPSYNC_JS 1.0.0 documents. There is no other library: what is not here does not compile.
// Source: the "JavaScript runtime features", "Utilities" and "Built-in modules" pages of the AppSync
// developer guide.

interface Array<T> {
  length: number;
  [index: number]: T;
  concat(...items: (T | T[])[]): T[];
  every(test: (value: T, index: number) => unknown): boolean;
  fill(value: T, start?: number, end?: number): T[];
  filter(test: (value: T, index: number) => unknown): T[];
  find(test: (value: T, index: number) => unknown): T | undefined;
  findIndex(test: (value: T, index: number) => unknown): number;
  findLast(test: (value: T, index: number) => unknown): T | undefined;
  findLastIndex(test: (value: T, index: number) => unknown): number;
  flat(): any[];
  flatMap<U>(map: (value: T, index: number) => U[]): U[];
  forEach(visit: (value: T, index: number) => void): void;
  indexOf(value: T, from?: number): number;
  join(separator?: string): string;
  lastIndexOf(value: T, from?: number): number;
  map<U>(map: (value: T, index: number) => U): U[];
  pop(): T | undefined;
  push(...items: T[]): number;
  reduce<U>(fold: (sum: U, value: T, index: number) => U, initial: U): U;
  reduceRight<U>(fold: (sum: U, value: T, index: number) => U, initial: U): U;
  reverse(): T[];
  shift(): T | undefined;
  slice(start?: number, end?: number): T[];
  some(test: (value: T, index: number) => unknown): boolean;
  sort(): T[];
  splice(start: number, count?: number, ...items: T[]): T[];
  unshift(...items: T[]): number;
  [Symbol.iterator](): Iterator<T>;
}

interface String {
  length: number;
  charAt(index: number): string;
  concat(...texts: string[]): string;
  endsWith(text: string): boolean;
  indexOf(text: string, from?: number): number;
  lastIndexOf(text: string, from?: number): number;
  replace(javaRegex: string, replacement: string): string;
  replaceAll(javaRegex: string, replacement: string): string;
  slice(start?: number, end?: number): string;
  split(separator: string, limit?: number): string[];
  startsWith(text: string): boolean;
  toLowerCase(): string;
  toUpperCase(): string;
  trim(): string;
  trimEnd(): string;
  trimStart(): string;
}

interface Iterator<T, TReturn = unknown, TNext = unknown> {
  next(): { done?: boolean; value: T };
}
interface SymbolConstructor {
  readonly iterator: unique symbol;
}
declare var Symbol: SymbolConstructor;
interface Boolean {}
interface CallableFunction {}
interface Function {}
interface IArguments {}
interface NewableFunction {}
interface Number {}
interface Object {}
interface RegExp {}
interface TemplateStringsArray extends Array<string> {}
type Partial<T> = { [K in keyof T]?: T[K] };

declare const NaN: number;
declare const Infinity: number;
declare const console: { log(...values: unknown[]): void; error(...values: unknown[]): void };
declare const JSON: { parse(text: string): any; stringify(value: unknown): string };
declare const Math: {
  random(): number;
  min(...values: number[]): number;
  max(...values: number[]): number;
  round(value: number): number;
  floor(value: number): number;
  ceil(value: number): number;
};
declare const Number: { isFinite(value: unknown): boolean; isNaN(value: unknown): boolean };
declare const Object: {
  assign(target: any, ...sources: any[]): any;
  entries(value: any): [string, any][];
  hasOwn(value: any, key: string): boolean;
  keys(value: any): string[];
  values(value: any): any[];
};

declare module '@aws-appsync/utils' {
  interface Context {
    args: any;
    arguments: any;
    env: { [name: string]: string };
    error?: { message: string; type: string };
    identity: any;
    info: { fieldName: string; parentTypeName: string; variables: any; selectionSetList: string[]; selectionSetGraphQL: string };
    prev: { result: any };
    request: { headers: any; domainName: string | null };
    result: any;
    source: any;
    stash: Stash;
  }
  const runtime: { earlyReturn(value?: unknown, options?: { skipTo: 'END' | 'NEXT' }): never };
  const util: {
    error(message: string, type?: string, data?: unknown, info?: unknown): never;
    appendError(message: string, type?: string, data?: unknown, info?: unknown): void;
    unauthorized(): never;
    authType(): string;
    autoId(): string;
    autoUlid(): string;
    autoKsuid(): string;
    base64Decode(text: string): string;
    base64Encode(text: string): string;
    matches(javaRegex: string, text: string): boolean;
    urlDecode(text: string): string;
    urlEncode(text: string): string;
    time: {
      nowISO8601(): string;
      nowEpochSeconds(): number;
      nowEpochMilliSeconds(): number;
      epochMilliSecondsToISO8601(milliseconds: number): string;
    };
    transform: { toSubscriptionFilter(filter: any): any };
    dynamodb: { toMapValues(values: any): any; toDynamoDB(value: any): any; toNumber(value: number): any; toString(value: string): any };
  };
  const extensions: {
    setSubscriptionFilter(filter: any): void;
    setSubscriptionInvalidationFilter(filter: any): void;
    invalidateSubscriptions(invalidation: { subscriptionField: string; payload: any }): void;
  };
}

declare module '@aws-appsync/utils/dynamodb' {
  const operations: { remove(): any; increment(by?: number): any; add(value: any): any; replace(value: any): any };
  function get(request: { key: any; consistentRead?: boolean; projection?: string[] }): any;
  function put(request: { key: any; item: any; condition?: any }): any;
  function update(request: { key: any; update: any; condition?: any }): any;
  function query(request: {
    query: any;
    index?: string;
    limit?: number;
    consistentRead?: boolean;
    scanIndexForward?: boolean;
    filter?: any;
    nextToken?: string;
  }): any;
  function batchGet(request: { tables: { [name: string]: { keys: any[]; consistentRead?: boolean; projection?: string[] } } }): any;
  function transactGet(request: { items: { table: string; key: any; projection?: string[] }[] }): any;
  function transactWrite(request: { items: any[] }): any;
}
