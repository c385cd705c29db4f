/** All of an agent, for administrators. */

export const inferenceSettings = '{ maxTokens temperature topP stopSequences }';
export const lambdaTool = '{ functionArn }';
export const graphqlTool = '{ document url }';
export const mcpTool = '{ url authorizationSecretArn toolName }';
export const toolSettings = `{ name title description effect approval client handler inputSchema
  lambda ${lambdaTool} graphql ${graphqlTool} mcp ${mcpTool} }`;
export const knowledgeSettings = `{ knowledgeBaseId mode results search minScore filter rerankModelArn
  queryModelId onFailure }`;
export const agentSettings = `{ id version name modelId systemPrompt inference ${inferenceSettings}
  contextBytes maxSteps toolTimeoutSeconds tools ${toolSettings} knowledge ${knowledgeSettings} }`;
