/** The documents for administrators, who read all of an agent. */
import { AGENT, inline, KNOWLEDGE, mutation, query, TOOL, type Select } from './documents.js';

export function buildAdministratorDocuments(select: Select) {
  const inference = select('InferenceSettings', 'maxTokens temperature topP stopSequences');
  const lambda = select('LambdaTool', 'functionArn');
  const graphql = select('GraphqlTool', 'document url');
  const mcp = select('McpTool', 'url authorizationSecretArn toolName');
  const tool = select(
    'Tool',
    `${TOOL} inputSchema lambda ${lambda} graphql ${graphql} mcp ${mcp}`,
    'ToolSettings',
  );
  const knowledge = select(
    'Knowledge',
    `${KNOWLEDGE} results search minScore filter rerankModelArn queryModelId onFailure`,
    'KnowledgeSettings',
  );
  const settings = select(
    'Agent',
    `${AGENT} systemPrompt inference ${inference} contextBytes maxSteps toolTimeoutSeconds
    tools ${tool} knowledge ${knowledge}`,
    'AgentSettings',
  );
  return {
    getAgentSettings: query('getAgentSettings', 'id: ID!', settings, { field: 'getAgent' }),
    putAgent: mutation('putAgent', 'input: PutAgentInput!', settings),
  };
}

export const administratorDocuments = buildAdministratorDocuments(inline);
