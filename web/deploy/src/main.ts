/** Uploads the chat page to the bucket of a stack. */
import { Aws, sentenceOf } from './aws.js';
import { pageConfig, type PageConfig } from './config.js';
import { parseOptions, USAGE, type Options } from './options.js';
import { builtPage, buildPage, readPage } from './page_folder.js';
import { BUILDS_KEY, INDEX_KEY, planUploads, type PageFile } from './plan.js';
import { connectSources, discoveryUrl, issuersOf, withConnectSources, type Discovery } from './security.js';
import { DeployError } from './sentences.js';
import { readStack, type DeployedStack } from './stack.js';

/** In milliseconds. */
const DISCOVERY_TIMEOUT = 10_000;

/** Returns the status of the process: 1 if the page is not deployed. */
export async function main(words: string[]): Promise<number> {
  let options: Options | undefined;
  try {
    options = parseOptions(words);
    if (!options) console.log(USAGE);
    else await run(options);
    return 0;
  } catch (error) {
    console.error(sentenceOf(error, options?.stack ?? '', options?.region) ?? error);
    return 1;
  }
}

async function run(options: Options): Promise<void> {
  const aws = new Aws(options);
  const stack = readStack(options.stack, await aws.stackOutputs(options.stack));
  await (options.isDeletion ? deleteFiles(aws, options, stack) : deploy(aws, options, stack));
}

async function deploy(aws: Aws, options: Options, stack: DeployedStack): Promise<void> {
  const config = pageConfig(stack, options);
  const discoveries = await Promise.all(issuersOf(config).map(({ issuer }) => discover(issuer)));
  const sources = connectSources(config, discoveries);
  if (options.page === undefined) await buildPage();
  const files = readPage(options.page ?? builtPage).map((file) => withPolicy(file, sources));
  const stored = await aws.listObjects(stack.bucket);
  const hasBuilds = stored.some(({ key }) => key === BUILDS_KEY);
  const builds = hasBuilds ? await aws.builds(stack.bucket) : undefined;
  const plan = planUploads({ files, config, stored, builds });
  for (const step of plan.steps) await aws.upload(stack.bucket, step);
  await aws.invalidate(stack.distributionId, plan.invalidations);
  await aws.delete(stack.bucket, plan.deletions);
  const uploads = plan.steps.flat().length;
  console.log(`Uploaded ${uploads} files and deleted ${plan.deletions.length}.\n\n  ${stack.url}\n`);
  describeSignIn(config, stack);
}

function describeSignIn(config: PageConfig, { url }: DeployedStack): void {
  for (const method of config.signIn) {
    if (method.mode === 'API_KEY') {
      console.log(`With the API key: the output ApiKey behind ${url}#key=`);
    } else {
      console.log(
        `With ${method.issuer}: the client ${method.clientId} must allow ${url} as callback and sign-out URL.`,
      );
    }
  }
}

async function deleteFiles(aws: Aws, { stack: name }: Options, { bucket }: DeployedStack): Promise<void> {
  const keys = (await aws.listObjects(bucket)).map((object) => object.key);
  await aws.delete(bucket, keys);
  console.log(`Deleted ${keys.length} files. CloudFormation can delete the bucket of ${name} now.`);
}

function withPolicy(file: PageFile, sources: readonly string[]): PageFile {
  if (file.key !== INDEX_KEY) return file;
  return { ...file, content: Buffer.from(withConnectSources(file.content.toString(), sources)) };
}

async function discover(issuer: string): Promise<Discovery> {
  const url = discoveryUrl(issuer);
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(DISCOVERY_TIMEOUT) });
    if (!response.ok) throw new Error(`HTTP ${response.status}`);
    return (await response.json()) as Discovery;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new DeployError(`The discovery document ${url} cannot be read: ${reason}.`);
  }
}
