/** CloudFormation, S3 and CloudFront as far as the program uses them, and an issuer, on one port of this machine. */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface FakeObject {
  content: string;
  contentType: string;
  cacheControl: string;
}

interface Request {
  method: string;
  path: string;
  query: URLSearchParams;
  headers: IncomingMessage['headers'];
  body: string;
}

interface Answer {
  status: number;
  body: string;
}

export const STACK = 'parlance';
export const BUCKET = 'page-bucket';
const DISTRIBUTION = 'E123';

export class FakeAws {
  readonly objects = new Map<string, FakeObject>();
  /** What happened, in order: `PUT key`, `DELETE key`, `INVALIDATE path path`. */
  readonly log: string[] = [];
  /** How many of the next requests to upload fail as S3 does when it is busy. */
  failures = 0;
  outputs: Record<string, string> = {};
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(): Promise<FakeAws> {
    const server = createServer();
    const fake = new FakeAws(server);
    server.on('request', (request, response) => void fake.#serve(request, response));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    fake.outputs = {
      ChatPageUrl: 'https://d111.cloudfront.net/',
      ChatPageBucket: BUCKET,
      ChatPageDistributionId: DISTRIBUTION,
      GraphQLUrl: 'https://api.example.com/graphql',
      RealtimeUrl: 'wss://realtime.example.com/graphql',
      Region: 'us-east-1',
      ApiKey: 'da2-secret',
      OidcIssuer: fake.url,
    };
    return fake;
  }

  /** Of all services and of the issuer. An IP address, which the SDK does not put the bucket's name before. */
  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const url = new URL(request.url ?? '/', this.url);
    const { status, body } = this.#answer({
      method: request.method ?? '',
      path: decodeURIComponent(url.pathname),
      query: url.searchParams,
      headers: request.headers,
      body: Buffer.concat(chunks).toString(),
    });
    response.writeHead(status, {
      'content-type': body.startsWith('{') ? 'application/json' : 'application/xml',
    });
    response.end(body);
  }

  #answer(request: Request): Answer {
    // A signature names its service.
    const service = /\/([a-z0-9]+)\/aws4_request/.exec(request.headers.authorization ?? '')?.[1] ?? 'none';
    switch (service) {
      case 'cloudformation':
        return this.#describeStacks(new URLSearchParams(request.body));
      case 's3':
        return this.#serveBucket(request);
      case 'cloudfront':
        return this.#invalidate(request);
      default:
        return request.path === '/.well-known/openid-configuration'
          ? ok(JSON.stringify({ token_endpoint: 'https://login.example.com/oauth2/token' }))
          : { status: 403, body: '' };
    }
  }

  #describeStacks(form: URLSearchParams): Answer {
    const name = form.get('StackName');
    if (name !== STACK) {
      const message = `Stack with id ${name ?? ''} does not exist`;
      const error = `<Error><Type>Sender</Type><Code>ValidationError</Code><Message>${message}</Message></Error>`;
      return { status: 400, body: `<ErrorResponse>${error}</ErrorResponse>` };
    }
    const members = Object.entries(this.outputs).map(
      ([key, value]) => `<member><OutputKey>${key}</OutputKey><OutputValue>${value}</OutputValue></member>`,
    );
    const stack = `<member><StackName>${STACK}</StackName><Outputs>${members.join('')}</Outputs></member>`;
    const result = `<DescribeStacksResult><Stacks>${stack}</Stacks></DescribeStacksResult>`;
    return ok(`<DescribeStacksResponse>${result}</DescribeStacksResponse>`);
  }

  #serveBucket(request: Request): Answer {
    const [, bucket, ...rest] = request.path.split('/');
    const key = rest.join('/');
    if (bucket !== BUCKET) return { status: 404, body: '<Error><Code>NoSuchBucket</Code></Error>' };
    if (request.query.has('delete')) return this.#delete(request.body);
    if (request.query.get('list-type') === '2') return this.#list(request.query);
    return request.method === 'PUT' ? this.#put(key, request) : this.#get(key);
  }

  #put(key: string, { body, headers }: Request): Answer {
    if (this.failures > 0) {
      this.failures -= 1;
      return {
        status: 503,
        body: '<Error><Code>SlowDown</Code><Message>Please reduce your rate.</Message></Error>',
      };
    }
    this.log.push(`PUT ${key}`);
    this.objects.set(key, {
      content: body,
      contentType: headers['content-type'] ?? '',
      cacheControl: headers['cache-control'] ?? '',
    });
    return ok('');
  }

  #get(key: string): Answer {
    const object = this.objects.get(key);
    return object ? ok(object.content) : { status: 404, body: '<Error><Code>NoSuchKey</Code></Error>' };
  }

  /** In pages of two objects. */
  #list(query: URLSearchParams): Answer {
    const keys = [...this.objects.keys()].toSorted();
    const begin = Number(query.get('continuation-token') ?? 0);
    const contents = keys.slice(begin, begin + 2).map((key) => {
      const etag = createHash('md5')
        .update(this.objects.get(key)?.content ?? '')
        .digest('hex');
      return `<Contents><Key>${key}</Key><ETag>&quot;${etag}&quot;</ETag></Contents>`;
    });
    const isTruncated = begin + 2 < keys.length;
    const next = isTruncated ? `<NextContinuationToken>${begin + 2}</NextContinuationToken>` : '';
    const members = `<IsTruncated>${String(isTruncated)}</IsTruncated>${next}${contents.join('')}`;
    return ok(`<ListBucketResult>${members}</ListBucketResult>`);
  }

  #delete(body: string): Answer {
    for (const [, key = ''] of body.matchAll(/<Key>([^<]*)<\/Key>/g)) {
      this.log.push(`DELETE ${key}`);
      this.objects.delete(key);
    }
    return ok('<DeleteResult></DeleteResult>');
  }

  #invalidate({ path, body }: Request): Answer {
    if (!path.endsWith(`/distribution/${DISTRIBUTION}/invalidation`)) return { status: 404, body: '' };
    const paths = [...body.matchAll(/<Path>([^<]*)<\/Path>/g)].map(([, found]) => found ?? '');
    this.log.push(`INVALIDATE ${paths.join(' ')}`);
    return { status: 201, body: '<Invalidation><Id>I1</Id><Status>InProgress</Status></Invalidation>' };
  }
}

function ok(body: string): Answer {
  return { status: 200, body };
}
