/** All of an agent, for administrators. */

export const inferenceSettings = '{ maxTokens temperature topP stopSequences }';
export const lambdaTool = '{ functionArn }';
export const graphqlTool = '{ document url }';
export const mcpTool = '{ url authorizationSecretArn toolName }';
export const toolSettings = `{ name title description effect approval client handler inputSchema
  lambda ${lambdaTool} graphql ${graphqlTool} mcp ${mcpTool} }`;
export const knowledgeSettings = `{ knowledgeBaseId mode results search minScore filter rerankModelArn
  queryModelId onFailure }`;
export const reasoningSettings = '{ effort budgetTokens }';
export const guardrailSettings = '{ id version mode newestMessageOnly ownSettings }';
export const model = '{ id family tools reasoning promptCaching images documents contextTokens }';
export const agentSettings = `{ id version name modelId systemPrompt inference ${inferenceSettings}
  contextBytes maxSteps toolTimeoutSeconds tools ${toolSettings} knowledge ${knowledgeSettings}
  reasoning ${reasoningSettings} promptCaching fallbackModelIds guardrail ${guardrailSettings} }`;
