/** The requests to AWS. Each is repeated by the SDK, at most ATTEMPTS times in all. */
import { randomUUID } from 'node:crypto';
import { CloudFormationClient, DescribeStacksCommand } from '@aws-sdk/client-cloudformation';
import { CloudFrontClient, CreateInvalidationCommand } from '@aws-sdk/client-cloudfront';
import {
  DeleteObjectsCommand,
  GetObjectCommand,
  paginateListObjectsV2,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import { BUILDS_KEY, parseBuilds, type Builds, type StoredObject, type Upload } from './plan.js';
import { DeployError } from './sentences.js';
import type { Outputs } from './stack.js';

const ATTEMPTS = 4;
/** How many files are uploaded at once. */
const CONCURRENT_UPLOADS = 8;
/** S3's limit for a request that deletes. */
const DELETIONS_PER_REQUEST = 1000;
/** A page and those before it have far fewer files. */
const MAX_OBJECTS = 20_000;

export interface AwsOptions {
  region: string | undefined;
  profile: string | undefined;
}

export class Aws {
  readonly #cloudFormation: CloudFormationClient;
  readonly #s3: S3Client;
  readonly #cloudFront: CloudFrontClient;

  constructor({ region, profile }: AwsOptions) {
    const configuration = {
      maxAttempts: ATTEMPTS,
      ...(region !== undefined && { region }),
      ...(profile !== undefined && { profile }),
    };
    this.#cloudFormation = new CloudFormationClient(configuration);
    this.#s3 = new S3Client(configuration);
    this.#cloudFront = new CloudFrontClient(configuration);
  }

  async stackOutputs(name: string): Promise<Outputs> {
    const { Stacks } = await this.#cloudFormation.send(new DescribeStacksCommand({ StackName: name }));
    const outputs = (Stacks?.[0]?.Outputs ?? []).map((output) => [
      output.OutputKey ?? '',
      output.OutputValue ?? '',
    ]);
    return Object.fromEntries(outputs) as Outputs;
  }

  async listObjects(bucket: string): Promise<StoredObject[]> {
    const objects: StoredObject[] = [];
    for await (const { Contents = [] } of paginateListObjectsV2({ client: this.#s3 }, { Bucket: bucket })) {
      for (const { Key: key, ETag: etag } of Contents) {
        if (key !== undefined) objects.push({ key, etag: (etag ?? '').replaceAll('"', '') });
      }
      if (objects.length > MAX_OBJECTS) {
        throw new DeployError(
          `The bucket ${bucket} has more than ${MAX_OBJECTS} objects. Is it the page's own?`,
        );
      }
    }
    return objects;
  }

  /** The builds that were uploaded so far, from the object BUILDS_KEY. */
  async builds(bucket: string): Promise<Builds | undefined> {
    const { Body } = await this.#s3.send(new GetObjectCommand({ Bucket: bucket, Key: BUILDS_KEY }));
    return parseBuilds((await Body?.transformToString()) ?? '');
  }

  /** Resolves when all files are there. Rejects with the first failure. */
  async upload(bucket: string, uploads: readonly Upload[]): Promise<void> {
    const waiting = [...uploads];
    const worker = async (): Promise<void> => {
      for (let next = waiting.shift(); next; next = waiting.shift()) await this.#put(bucket, next);
    };
    await Promise.all(Array.from({ length: CONCURRENT_UPLOADS }, worker));
  }

  async #put(bucket: string, { key, content, contentType, cacheControl }: Upload): Promise<void> {
    await this.#s3.send(
      new PutObjectCommand({
        Bucket: bucket,
        Key: key,
        Body: content,
        ContentType: contentType,
        CacheControl: cacheControl,
      }),
    );
  }

  async delete(bucket: string, keys: readonly string[]): Promise<void> {
    for (let begin = 0; begin < keys.length; begin += DELETIONS_PER_REQUEST) {
      const Objects = keys.slice(begin, begin + DELETIONS_PER_REQUEST).map((Key) => ({ Key }));
      const command = new DeleteObjectsCommand({ Bucket: bucket, Delete: { Objects, Quiet: true } });
      const { Errors = [] } = await this.#s3.send(command);
      const [first] = Errors;
      if (first) throw new DeployError(`${first.Key ?? 'A file'} was not deleted: ${first.Message ?? ''}`);
    }
  }

  async invalidate(distributionId: string, paths: readonly string[]): Promise<void> {
    const Paths = { Quantity: paths.length, Items: [...paths] };
    await this.#cloudFront.send(
      new CreateInvalidationCommand({
        DistributionId: distributionId,
        InvalidationBatch: { CallerReference: randomUUID(), Paths },
      }),
    );
  }
}

/** What an error of the SDK means, as a sentence. Undefined for one that this program has not foreseen. */
export function sentenceOf(error: unknown, stack: string, region: string | undefined): string | undefined {
  if (!(error instanceof Error)) return undefined;
  if (error instanceof DeployError) return error.message;
  if (error.name === 'ValidationError' && error.message.includes('does not exist')) {
    return `There is no stack ${stack} in ${region ?? 'the region of the environment or the profile'}.`;
  }
  if (error.name === 'CredentialsProviderError') {
    return 'There are no AWS credentials. Sign in, for example with aws sso login, or name a profile with --profile.';
  }
  if (error.message === 'Region is missing' || error.message.startsWith('Region not accepted')) {
    return 'Name the region of the stack with --region, or set AWS_REGION.';
  }
  const isRefusal = '$metadata' in error;
  return isRefusal ? `AWS refuses the request: ${error.name}: ${error.message}` : undefined;
}
