import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Sha256 } from '@aws-crypto/sha256-js';
import { SignatureV4 } from '@smithy/signature-v4';
import { WebSocket } from 'ws';
import { createClient, type Client, type ClientOptions, type Credentials } from '../../src/index.js';

const ROOT = fileURLToPath(new URL('../../../..', import.meta.url));

interface Endpoint {
  readonly url: string;
  readonly apiKey: string;
  readonly region: string;
  readonly administrator: { readonly accessKeyId: string; readonly secretAccessKey: string };
}

/** A local server with the users ada and bob and an OpenID Connect provider, with a folder of its own. */
export class LocalServer {
  readonly #state: string;
  #process: ChildProcess | undefined;
  #endpoint: Endpoint | undefined;

  private constructor(state: string) {
    this.#state = state;
  }

  static async start(): Promise<LocalServer> {
    const server = new LocalServer(await mkdtemp(join(tmpdir(), 'parlance-client-')));
    await server.#run(0);
    return server;
  }

  get url(): string {
    return this.#running.url;
  }

  get apiKey(): string {
    return this.#running.apiKey;
  }

  get administrator(): Endpoint['administrator'] {
    return this.#running.administrator;
  }

  /** A client that is closed by the caller. */
  client(credentials: Credentials, options: Partial<ClientOptions> = {}): Client {
    return createClient({ url: this.url, credentials, WebSocket, ...options });
  }

  withApiKey(): Credentials {
    return { mode: 'API_KEY', apiKey: this.apiKey };
  }

  /** The keys of the administrator, as the signer of AWS's SDK uses them. */
  withIam(): Credentials {
    const signer = new SignatureV4({
      service: 'appsync',
      region: this.#running.region,
      credentials: this.administrator,
      sha256: Sha256,
    });
    return {
      mode: 'IAM',
      sign: async ({ method, url, headers, body }) => {
        const { protocol, hostname, port, host, pathname: path } = new URL(url);
        const request = { method, protocol, hostname, port: Number(port), path, body };
        const signed = await signer.sign({ ...request, headers: { ...headers, host } });
        return signed.headers;
      },
    };
  }

  /** A user's token of the user pool or of the OpenID Connect provider. */
  async token(name: string, mode: 'USER_POOL' | 'OIDC'): Promise<string> {
    const provider = mode === 'OIDC' ? ['--oidc'] : [];
    const process = spawn(program(), ['token', name, ...provider, '--state', this.#state]);
    let output = '';
    process.stdout.on('data', (text: Buffer) => (output += text.toString()));
    const [code] = (await once(process, 'close')) as [number];
    if (code !== 0) throw new Error(`parlance token has failed with ${code}`);
    return output.trim();
  }

  /** Ends the server and starts it again with the same port, keys and data. */
  async restart(): Promise<void> {
    const { port } = new URL(this.url);
    await this.end();
    await this.#run(Number(port));
  }

  /** Ends the server without its folder. */
  async end(): Promise<void> {
    this.#process?.kill();
    if (this.#process?.exitCode === null) await once(this.#process, 'exit');
    this.#process = undefined;
  }

  async stop(): Promise<void> {
    await this.end();
    await rm(this.#state, { recursive: true, force: true });
  }

  get #running(): Endpoint {
    if (this.#endpoint === undefined) throw new Error('the server was not started');
    return this.#endpoint;
  }

  /** Returns when the server takes connections. */
  async #run(port: number): Promise<void> {
    const file = join(this.#state, 'endpoint.json');
    await rm(file, { force: true });
    const users = ['--user', 'ada', '--user', 'bob', '--oidc'];
    const places = ['--no-page', '--root', ROOT, '--state', this.#state, '--port', String(port)];
    this.#process = spawn(program(), [...places, ...users], { stdio: ['ignore', 'pipe', 'pipe'] });
    const log: string[] = [];
    const ready = new Promise<void>((resolve, reject) => {
      const onOutput = (text: Buffer): void => {
        log.push(text.toString());
        readFile(file, 'utf8').then(
          (json) => {
            this.#endpoint = JSON.parse(json) as Endpoint;
            resolve();
          },
          () => undefined,
        );
      };
      this.#process?.stdout?.on('data', onOutput);
      this.#process?.stderr?.on('data', onOutput);
      this.#process?.once('exit', (code) => {
        reject(new Error(`the local server has ended with ${code}: ${log.join('')}`));
      });
    });
    await ready;
  }
}

function program(): string {
  const path = process.env['PARLANCE_PROGRAM'];
  if (path === undefined || path === '') {
    throw new Error(
      'PARLANCE_PROGRAM must be the path of the local server: target/debug/parlance after cargo build',
    );
  }
  return path;
}
