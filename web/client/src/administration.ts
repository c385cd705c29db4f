/** The operations for administrators, as functions of their own: other pages do not ship them. */
import { execute, type Client, type RequestOptions } from './client.js';
import type { AgentSettings, Model, PutAgentInput } from './generated/schema.js';
import { administratorDocuments } from './graphql/administratorDocuments.js';

/** All of an agent, also what only administrators may read. Rejects like the operations of `Client`. */
export function getAgentSettings(
  { transport }: Client,
  id: string,
  options?: RequestOptions,
): Promise<AgentSettings> {
  return execute(transport, administratorDocuments.getAgentSettings, { id }, options);
}

/** The models that agents can have, and what they can do. Rejects like the operations of `Client`. */
export function listModels({ transport }: Client, options?: RequestOptions): Promise<readonly Model[]> {
  return execute(transport, administratorDocuments.listModels, {}, options);
}

/** Writes the next version of an agent. Rejects like the operations of `Client`. */
export function putAgent(
  { transport }: Client,
  input: PutAgentInput,
  options?: RequestOptions,
): Promise<AgentSettings> {
  return execute(transport, administratorDocuments.putAgent, { input }, options);
}
