/** Decides what to upload, in which order, and what to delete. */
import { createHash } from 'node:crypto';
import type { PageConfig } from './config.js';
import { DeployError } from './sentences.js';

/** A file of the built page. */
export interface PageFile {
  /** Its path from the folder of the build, with `/`. */
  key: string;
  content: Buffer;
}

/** An object of the bucket. */
export interface StoredObject {
  key: string;
  /** The MD5 sum of the content in hexadecimal digits, as S3 has it for objects that were uploaded whole. */
  etag: string;
}

export interface Upload {
  key: string;
  content: Buffer;
  contentType: string;
  cacheControl: string;
}

export interface Plan {
  /** Each step begins when all uploads of the one before have ended. */
  steps: readonly (readonly Upload[])[];
  /** After the uploads. */
  deletions: readonly string[];
  /** Paths of the distribution. */
  invalidations: readonly string[];
}

/** The assets of the last two builds, which is the content of BUILDS_KEY. */
export interface Builds {
  current: readonly string[];
  /** Tabs that were opened before the current build load these. */
  previous: readonly string[];
}

export const BUILDS_KEY = 'builds.json';
export const INDEX_KEY = 'index.html';
export const CONFIG_KEY = 'config.json';

const ASSETS_FOLDER = 'assets/';
/** Names of assets have hashes of their content. */
const IMMUTABLE = 'public, max-age=31536000, immutable';
/** May be kept, but not used before the server was asked whether it has changed. */
const REVALIDATED = 'no-cache';

const CONTENT_TYPES: Readonly<Record<string, string>> = {
  css: 'text/css; charset=utf-8',
  html: 'text/html; charset=utf-8',
  ico: 'image/x-icon',
  js: 'text/javascript; charset=utf-8',
  json: 'application/json',
  map: 'application/json',
  png: 'image/png',
  svg: 'image/svg+xml',
  txt: 'text/plain; charset=utf-8',
  webmanifest: 'application/manifest+json',
  woff: 'font/woff',
  woff2: 'font/woff2',
};

export interface PlanInput {
  files: readonly PageFile[];
  config: PageConfig;
  stored: readonly StoredObject[];
  /** Undefined before the first upload. */
  builds: Builds | undefined;
}

/** `files` has index.html as it is to be uploaded. Throws where it is missing. */
export function planUploads({ files, config, stored, builds }: PlanInput): Plan {
  if (!files.some((file) => file.key === INDEX_KEY)) {
    throw new DeployError(`The built page has no ${INDEX_KEY}.`);
  }
  const own = [INDEX_KEY, CONFIG_KEY, BUILDS_KEY];
  const assets = files.filter((file) => isAsset(file.key));
  const others = files.filter((file) => !isAsset(file.key) && !own.includes(file.key));
  const keptBuilds = nextBuilds(
    assets.map((file) => file.key),
    builds,
  );
  const etags = new Map(stored.map((object) => [object.key, object.etag]));
  const isNew = (file: PageFile): boolean => etags.get(file.key) !== md5(file.content);
  const json = (key: string, value: unknown): PageFile => ({
    key,
    content: Buffer.from(`${JSON.stringify(value)}\n`),
  });
  const steps = [
    assets.filter(isNew),
    others.filter(isNew),
    // Before the page that reads it.
    [json(CONFIG_KEY, config)],
    files.filter((file) => file.key === INDEX_KEY),
    // After a failure the next upload still knows the build that people have open.
    [json(BUILDS_KEY, keptBuilds)],
  ];
  const needed = new Set([
    ...files.map((file) => file.key),
    ...own,
    ...keptBuilds.current,
    ...keptBuilds.previous,
  ]);
  return {
    steps: steps.filter((step) => step.length > 0).map((step) => step.map(upload)),
    deletions: stored.map((object) => object.key).filter((key) => !needed.has(key)),
    invalidations: ['/', `/${INDEX_KEY}`, `/${CONFIG_KEY}`],
  };
}

/** The same build again leaves those of the build before it. */
function nextBuilds(assets: readonly string[], builds: Builds | undefined): Builds {
  const current = assets.toSorted();
  if (!builds) return { current, previous: [] };
  const isSame = JSON.stringify(builds.current.toSorted()) === JSON.stringify(current);
  return { current, previous: isSame ? builds.previous : builds.current };
}

/** The content of BUILDS_KEY; undefined if it is not what this program writes. */
export function parseBuilds(text: string): Builds | undefined {
  const isList = (value: unknown): value is string[] =>
    Array.isArray(value) && value.every((item) => typeof item === 'string');
  try {
    const { current, previous } = JSON.parse(text) as Partial<Builds>;
    return isList(current) && isList(previous) ? { current, previous } : undefined;
  } catch {
    return undefined;
  }
}

function upload({ key, content }: PageFile): Upload {
  const extension = /\.([a-z0-9]+)$/.exec(key)?.[1] ?? '';
  return {
    key,
    content,
    contentType: CONTENT_TYPES[extension] ?? 'application/octet-stream',
    cacheControl: isAsset(key) ? IMMUTABLE : REVALIDATED,
  };
}

function isAsset(key: string): boolean {
  return key.startsWith(ASSETS_FOLDER);
}

function md5(content: Buffer): string {
  return createHash('md5').update(content).digest('hex');
}
