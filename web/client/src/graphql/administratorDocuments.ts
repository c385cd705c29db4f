/** The documents for administrators alone, who may read more fields. */
import { fieldsOfAgents, inline, mutation, query, type Select } from './documents.js';

export function buildAdministratorDocuments(select: Select) {
  const { fields, tool, knowledge } = fieldsOfAgents(select);
  const lambda = select('LambdaTool', 'functionArn');
  const graphql = select('GraphqlTool', 'document url');
  const mcp = select('McpTool', 'url authorizationSecretArn toolName');
  const allOfTool = select('Tool', `${tool} lambda ${lambda} graphql ${graphql} mcp ${mcp}`, 'ToolSettings');
  const allOfKnowledge = select('Knowledge', `${knowledge} filter rerankModelArn`, 'KnowledgeSettings');
  const settings = select(
    'Agent',
    `${fields} systemPrompt tools ${allOfTool} knowledge ${allOfKnowledge}`,
    'AgentSettings',
  );
  return {
    getAgentSettings: query('getAgentSettings', 'id: ID!', settings, { field: 'getAgent' }),
    putAgent: mutation('putAgent', 'input: PutAgentInput!', settings),
  };
}

export const administratorDocuments = buildAdministratorDocuments(inline);
