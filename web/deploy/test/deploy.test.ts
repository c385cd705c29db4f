/** The program as a process, against a fake of the three services. */
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { BUCKET, FakeAws, STACK } from './fake_aws.js';

const program = resolve(import.meta.dirname, '../deploy.js');

let aws: FakeAws;
let folder: string;

beforeEach(async () => {
  aws = await FakeAws.start();
  folder = mkdtempSync(join(tmpdir(), 'parlance-deploy-'));
});

afterEach(async () => {
  await aws.stop();
  rmSync(folder, { recursive: true, force: true });
});

interface Result {
  status: number;
  output: string;
  errors: string;
}

/** Runs the program with the page of `folder`, without any configuration of this machine. */
function run(words: string[], environment: Record<string, string> = {}): Promise<Result> {
  const env = {
    PATH: process.env['PATH'],
    HOME: folder,
    AWS_ENDPOINT_URL: aws.url,
    AWS_REGION: 'us-east-1',
    AWS_ACCESS_KEY_ID: 'AKIA',
    AWS_SECRET_ACCESS_KEY: 'secret',
    AWS_EC2_METADATA_DISABLED: 'true',
    // The SDK warns of versions of Node that it will not support.
    NODE_NO_WARNINGS: '1',
    ...environment,
  };
  return new Promise((done) => {
    execFile(process.execPath, [program, ...words], { env, cwd: folder }, (error, output, errors) => {
      done({ status: typeof error?.code === 'number' ? error.code : 0, output, errors });
    });
  });
}

function deploy(...options: string[]): Promise<Result> {
  return run(['--stack', STACK, '--page', join(folder, 'dist'), '--oidc-client-id', 'web', ...options]);
}

function writePage(files: Record<string, string>): void {
  rmSync(join(folder, 'dist'), { recursive: true, force: true });
  for (const [key, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, 'dist', key)), { recursive: true });
    writeFileSync(join(folder, 'dist', key), content);
  }
}

const FIRST_BUILD = {
  'index.html': '<!doctype html><html><head><title>Chat</title></head></html>',
  'favicon.svg': '<svg/>',
  'assets/index-1.js': 'first',
  'assets/index-1.css': 'body {}',
  'assets/font-1.woff2': 'font',
};

test('uploads assets first, then what names them, and invalidates', async () => {
  writePage(FIRST_BUILD);
  const result = await deploy();
  expect(result).toMatchObject({ status: 0, errors: '' });
  expect(result.output).toContain('\n  https://d111.cloudfront.net/\n');
  expect(result.output).not.toContain('da2-secret');
  expect(aws.log.slice(0, 3).toSorted()).toEqual([
    'PUT assets/font-1.woff2',
    'PUT assets/index-1.css',
    'PUT assets/index-1.js',
  ]);
  expect(aws.log.slice(3)).toEqual([
    'PUT favicon.svg',
    'PUT config.json',
    'PUT index.html',
    'PUT builds.json',
    'INVALIDATE / /index.html /config.json',
  ]);
});

test('writes the headers, the configuration and the policy', async () => {
  writePage(FIRST_BUILD);
  await deploy('--oidc-scope', 'openid offline_access');
  const headers = [...aws.objects].map(([key, { contentType, cacheControl }]) => [
    key,
    contentType,
    cacheControl,
  ]);
  const immutable = 'public, max-age=31536000, immutable';
  expect(headers.toSorted()).toEqual([
    ['assets/font-1.woff2', 'font/woff2', immutable],
    ['assets/index-1.css', 'text/css; charset=utf-8', immutable],
    ['assets/index-1.js', 'text/javascript; charset=utf-8', immutable],
    ['builds.json', 'application/json', 'no-cache'],
    ['config.json', 'application/json', 'no-cache'],
    ['favicon.svg', 'image/svg+xml', 'no-cache'],
    ['index.html', 'text/html; charset=utf-8', 'no-cache'],
  ]);
  expect(JSON.parse(aws.objects.get('config.json')?.content ?? '')).toEqual({
    graphqlUrl: 'https://api.example.com/graphql',
    realtimeUrl: 'wss://realtime.example.com/graphql',
    region: 'us-east-1',
    signIn: [
      { mode: 'OIDC', issuer: aws.url, clientId: 'web', scope: 'openid offline_access' },
      { mode: 'API_KEY' },
    ],
  });
  expect(aws.objects.get('index.html')?.content).toContain(
    `<head><meta http-equiv="Content-Security-Policy" content="connect-src 'self' https://api.example.com/graphql ` +
      `wss://realtime.example.com/graphql ${aws.url} https://login.example.com"><title>`,
  );
});

test('uploads what has changed, and deletes the assets of builds before the last', async () => {
  writePage(FIRST_BUILD);
  await deploy();
  aws.log.length = 0;
  writePage({ ...FIRST_BUILD, 'assets/index-2.js': 'second' });
  rmSync(join(folder, 'dist/assets/index-1.js'));
  await deploy();
  expect(aws.log).toEqual([
    'PUT assets/index-2.js',
    'PUT config.json',
    'PUT index.html',
    'PUT builds.json',
    'INVALIDATE / /index.html /config.json',
  ]);
  expect(aws.objects.has('assets/index-1.js')).toBe(true);
  aws.log.length = 0;
  rmSync(join(folder, 'dist/assets/index-2.js'));
  writeFileSync(join(folder, 'dist/assets/index-3.js'), 'third');
  await deploy();
  expect(aws.log.slice(-2)).toEqual(['INVALIDATE / /index.html /config.json', 'DELETE assets/index-1.js']);
  expect(aws.objects.has('assets/index-2.js')).toBe(true);
});

test('repeats what S3 refuses for a moment, and gives up at last', async () => {
  writePage(FIRST_BUILD);
  aws.failures = 3;
  expect((await deploy()).status).toBe(0);
  expect(aws.objects.size).toBe(7);
  writePage({ ...FIRST_BUILD, 'assets/index-2.js': 'second' });
  aws.failures = Number.POSITIVE_INFINITY;
  const before = aws.objects.get('index.html');
  const result = await deploy();
  expect(result.status).toBe(1);
  expect(result.errors).toBe('AWS refuses the request: SlowDown: Please reduce your rate.\n');
  expect(aws.objects.get('index.html')).toBe(before);
});

test('empties the bucket', async () => {
  writePage(FIRST_BUILD);
  await deploy();
  const result = await run(['--stack', STACK, '--delete']);
  expect(result.output).toBe('Deleted 7 files. CloudFormation can delete the bucket of parlance now.\n');
  expect(aws.objects.size).toBe(0);
});

describe('says what is missing', () => {
  const words = ['--stack', STACK, '--page', 'dist', '--oidc-client-id', 'web'];
  const cases: [string, string[], Record<string, string>, string][] = [
    ['a stack', [], {}, 'Name the stack with --stack NAME.'],
    [
      'the stack',
      [...words, '--stack', 'x', '--region', 'eu-west-1'],
      {},
      'There is no stack x in eu-west-1.',
    ],
    ['a built page', words, {}, 'There is no built page in dist: it has no index.html.'],
    ['credentials', words, { AWS_ACCESS_KEY_ID: '' }, 'There are no AWS credentials. Sign in, '],
    ['a region', words, { AWS_REGION: '' }, 'Name the region of the stack with --region, or set AWS_REGION.'],
    ['a client', words.slice(0, 4), {}, 'or leave this sign-in out with --oidc-client-id none.'],
  ];
  test.each(cases)('%s', async (_, words, environment, sentence) => {
    const { status, errors } = await run(words, environment);
    expect(status).toBe(1);
    expect(errors).toContain(sentence);
    expect(errors.trim().split('\n')).toHaveLength(1);
    expect(aws.log).toEqual([]);
  });

  test('the chat page of the stack', async () => {
    aws.outputs = { GraphQLUrl: 'https://api.example.com/graphql' };
    const { status, errors } = await run(words);
    expect(status).toBe(1);
    expect(errors).toBe(
      'The stack parlance has no chat page. Deploy it with the parameter first: ' +
        'sam deploy --parameter-overrides ChatPage=true\n',
    );
  });
});

test('prints its options', async () => {
  const { status, output } = await run(['--help']);
  expect(status).toBe(0);
  expect(output).toContain('--user-pool-client-id ID');
});

test('knows no other bucket', async () => {
  aws.outputs = { ...aws.outputs, ChatPageBucket: `${BUCKET}-2` };
  writePage(FIRST_BUILD);
  expect((await deploy()).errors).toContain('AWS refuses the request: NoSuchBucket');
});
