import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { parlanceProgram, root } from './environment.js';
import { within } from './until.js';

export interface ServerOptions {
  /** NAME or NAME:GROUP, as for `--user`. */
  users?: string[];
  oidc?: boolean;
  parameters?: Record<string, string>;
  /** A folder of documents. */
  knowledge?: string;
  /** The command of a handler. */
  handler?: string;
}

/** What the server says of itself, in endpoint.json. */
interface Endpoint {
  url: string;
  realtimeUrl: string;
  apiKey: string;
  /** With the parameter EventsApi. */
  eventsUrl?: string;
  eventsApiKey?: string;
  /** With the parameter WebSocketApi. */
  websocketUrl?: string;
}

/** A local server with a table of its own, at a free port. */
export class Server {
  readonly url: string;
  readonly apiKey: string;
  /** The page's address. */
  readonly pageUrl: string;
  readonly endpoint: Readonly<Endpoint>;
  readonly #process: ChildProcess;
  readonly #state: string;

  private constructor(endpoint: Endpoint, process: ChildProcess, state: string) {
    this.url = endpoint.url;
    this.apiKey = endpoint.apiKey;
    this.pageUrl = new URL('/', endpoint.url).href;
    this.endpoint = endpoint;
    this.#process = process;
    this.#state = state;
  }

  static async start(options: ServerOptions = {}): Promise<Server> {
    const state = mkdtempSync(join(tmpdir(), 'parlance-e2e-'));
    const process = spawn(parlanceProgram(), commandLine(state, options), {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    try {
      await within('the local server is running', announcement(process), 60_000);
    } catch (error) {
      process.kill('SIGKILL');
      throw error;
    }
    const endpoint = JSON.parse(readFileSync(join(state, 'endpoint.json'), 'utf8')) as Endpoint;
    return new Server(endpoint, process, state);
  }

  get port(): number {
    return Number(new URL(this.url).port);
  }

  /** A user's access token, or an ID token of the OpenID Connect provider. */
  async token(name: string, issuer: 'USER_POOL' | 'OIDC' = 'USER_POOL'): Promise<string> {
    const options = issuer === 'OIDC' ? ['--oidc'] : [];
    const words = ['token', name, ...options, '--state', this.#state];
    const { stdout } = await promisify(execFile)(parlanceProgram(), words);
    return stdout.trim();
  }

  /**
   * Ends the server. The second signal says not to wait for answers that are running; it is another one
   * because two of the same may arrive as one.
   */
  async stop(): Promise<void> {
    const exited = new Promise((resolve) => this.#process.once('exit', resolve));
    if (this.#process.exitCode === null) {
      this.#process.kill('SIGINT');
      this.#process.kill('SIGTERM');
      await within('the local server has stopped', exited).catch(() => this.#process.kill('SIGKILL'));
    }
    rmSync(this.#state, { recursive: true, force: true });
  }
}

function commandLine(state: string, options: ServerOptions): string[] {
  const { users = [], oidc = false, parameters = {}, knowledge, handler } = options;
  return [
    ...['--root', root, '--state', state, '--ephemeral', '--port', '0'],
    ...users.flatMap((user) => ['--user', user]),
    ...(oidc ? ['--oidc'] : []),
    ...Object.entries(parameters).flatMap(([name, value]) => ['--parameter', `${name}=${value}`]),
    ...(knowledge ? ['--knowledge', knowledge] : []),
    ...(handler ? ['--handler', handler] : []),
  ];
}

/** Resolves when the server says that it is running; the rest of its output is dropped. */
function announcement(process: ChildProcess): Promise<void> {
  const lines: string[] = [];
  return new Promise((resolve, reject) => {
    for (const stream of [process.stdout, process.stderr]) {
      if (!stream) continue;
      createInterface({ input: stream }).on('line', (line) => {
        if (lines.length < 100) lines.push(line);
        if (line.startsWith('Parlance is running')) resolve();
      });
    }
    process.once('error', reject);
    process.once('exit', (code) => {
      reject(new Error(`The local server has ended with ${String(code)}:\n${lines.join('\n')}`));
    });
  });
}
