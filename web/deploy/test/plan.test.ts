import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import type { PageConfig } from '../src/config.js';
import { parseBuilds, planUploads, type Builds, type PageFile, type Plan } from '../src/plan.js';

const config: PageConfig = {
  graphqlUrl: 'https://api.example.com/graphql',
  realtimeUrl: 'wss://realtime.example.com/graphql',
  region: 'us-east-1',
  signIn: [{ mode: 'API_KEY' }],
};

const index = file('index.html', '<head></head>');

function file(key: string, content = key): PageFile {
  return { key, content: Buffer.from(content) };
}

function stored(key: string, content = key): { key: string; etag: string } {
  return { key, etag: createHash('md5').update(content).digest('hex') };
}

function plan(files: PageFile[], bucket: ReturnType<typeof stored>[] = [], builds?: Builds): Plan {
  return planUploads({ files: [index, ...files], config, stored: bucket, builds });
}

function keys({ steps }: Plan): string[][] {
  return steps.map((step) => step.map(({ key }) => key));
}

function writtenBuilds({ steps }: Plan): unknown {
  return JSON.parse(steps.at(-1)?.[0]?.content.toString() ?? '');
}

describe('order', () => {
  test('a file is uploaded after all that it names', () => {
    const files = [file('robots.txt'), file('assets/b.js'), file('assets/a.js')];
    const expected = [
      ['assets/b.js', 'assets/a.js'],
      ['robots.txt'],
      ['config.json'],
      ['index.html'],
      ['builds.json'],
    ];
    expect(keys(plan(files))).toEqual(expected);
  });

  test('steps without files are left out', () => {
    expect(keys(plan([]))).toEqual([['config.json'], ['index.html'], ['builds.json']]);
  });

  test('a config.json of the build is replaced', () => {
    const { steps } = plan([file('config.json', '{}'), file('builds.json', '{}')]);
    expect(keys({ steps } as Plan)).toEqual([['config.json'], ['index.html'], ['builds.json']]);
    expect(JSON.parse(steps[0]?.[0]?.content.toString() ?? '')).toEqual(config);
  });

  test('without an index.html there is nothing to deploy', () => {
    const input = { files: [file('assets/a.js')], config, stored: [], builds: undefined };
    expect(() => planUploads(input)).toThrow('The built page has no index.html.');
  });
});

describe('changes', () => {
  test('files that are there are not uploaded again, but index.html and config.json are', () => {
    const bucket = [stored('assets/a.js'), stored('robots.txt'), stored('index.html', '<head></head>')];
    const files = [file('assets/a.js'), file('robots.txt'), file('assets/b.js')];
    expect(keys(plan(files, bucket))).toEqual([
      ['assets/b.js'],
      ['config.json'],
      ['index.html'],
      ['builds.json'],
    ]);
  });

  test('a file with another content is uploaded', () => {
    const files = [file('robots.txt', 'new')];
    expect(keys(plan(files, [stored('robots.txt', 'old')]))[0]).toEqual(['robots.txt']);
  });

  test('an object that was uploaded in parts has no MD5 sum and is uploaded again', () => {
    expect(keys(plan([file('assets/a.js')], [{ key: 'assets/a.js', etag: 'abc-2' }]))[0]).toEqual([
      'assets/a.js',
    ]);
  });
});

describe('deletions', () => {
  const bucket = [
    'assets/a.js',
    'assets/b.js',
    'assets/c.js',
    'index.html',
    'config.json',
    'builds.json',
    'old.txt',
  ];
  const objects = bucket.map((key) => stored(key));

  test('assets of the build before stay, older ones go', () => {
    const builds = { current: ['assets/b.js'], previous: ['assets/a.js'] };
    const next = plan([file('assets/c.js')], objects, builds);
    expect(next.deletions).toEqual(['assets/a.js', 'old.txt']);
    expect(writtenBuilds(next)).toEqual({ current: ['assets/c.js'], previous: ['assets/b.js'] });
  });

  test('the same build again leaves those of the build before it', () => {
    const builds = { current: ['assets/b.js', 'assets/c.js'], previous: ['assets/a.js'] };
    const next = plan([file('assets/c.js'), file('assets/b.js')], objects, builds);
    expect(next.deletions).toEqual(['old.txt']);
    expect(writtenBuilds(next)).toEqual(builds);
  });

  test('without a list of builds all other assets go', () => {
    expect(plan([file('assets/c.js')], objects).deletions).toEqual(['assets/a.js', 'assets/b.js', 'old.txt']);
  });

  test('an asset of both builds stays', () => {
    const builds = { current: ['assets/a.js', 'assets/b.js'], previous: ['assets/a.js'] };
    expect(plan([file('assets/a.js')], objects, builds).deletions).toEqual(['assets/c.js', 'old.txt']);
  });
});

test('a list of builds that this program has not written is none', () => {
  expect(parseBuilds('{"current":["a"],"previous":[]}')).toEqual({ current: ['a'], previous: [] });
  for (const text of [
    '',
    'null',
    '[]',
    '{"current":["a"]}',
    '{"current":[1],"previous":[]}',
    '{"current":"a"}',
  ]) {
    expect(parseBuilds(text)).toBeUndefined();
  }
});
