import type { AgentSettings, ToolSettings } from 'parlance-client';
import { describe, expect, test } from 'vitest';

import { EMPTY_TOOL, formOf, newForm, parseForm, type ToolForm } from './agentForm.js';

const NO_TARGET = { client: null, handler: null, lambda: null, graphql: null, mcp: null };

function tool(fields: Partial<ToolSettings>): ToolSettings {
  return {
    name: 'find',
    title: null,
    description: 'Finds.',
    inputSchema: '{"type":"object"}',
    effect: 'READ',
    approval: 'NEVER',
    ...NO_TARGET,
    ...fields,
  };
}

const AGENT: AgentSettings = {
  id: 'helper',
  version: 3,
  name: 'Helper',
  modelId: 'amazon.nova-lite-v1:0',
  contextBytes: 400_000,
  maxSteps: 10,
  toolTimeoutSeconds: 30,
  systemPrompt: 'Help.',
  inference: { maxTokens: 500, temperature: 0, topP: null, stopSequences: ['END', '---'] },
  tools: [],
  knowledge: null,
  reasoning: null,
  promptCaching: 'FIVE_MINUTES',
  fallbackModelIds: [],
  guardrail: null,
};

function inputOf(agent: AgentSettings) {
  const parsed = parseForm(formOf(agent));
  if (!parsed.ok) throw new Error(parsed.reason);
  return parsed.input;
}

describe('the form of an agent', () => {
  test('puts the agent again as it is', () => {
    expect(inputOf(AGENT)).toEqual({
      id: 'helper',
      name: 'Helper',
      modelId: 'amazon.nova-lite-v1:0',
      contextBytes: 400_000,
      maxSteps: 10,
      toolTimeoutSeconds: 30,
      systemPrompt: 'Help.',
      inference: { maxTokens: 500, temperature: 0, stopSequences: ['END', '---'] },
    });
  });

  test('has every kind of tool, each with its own fields alone', () => {
    const target = { url: 'https://api.example.com/graphql', document: 'query { a }' };
    const tools = [
      tool({ lambda: { functionArn: 'arn:aws:lambda:us-east-1:123456789012:function:find' } }),
      tool({ name: 'ask', graphql: target, title: 'Ask' }),
      tool({ name: 'page', client: true }),
      tool({ name: 'own', handler: true, effect: 'WRITE', approval: 'ALWAYS' }),
    ];
    const described = { description: 'Finds.', inputSchema: '{"type":"object"}' };
    expect(inputOf({ ...AGENT, tools }).tools).toEqual([
      { name: 'find', ...described, effect: 'READ', approval: 'NEVER', lambda: tools[0]?.lambda },
      { name: 'ask', title: 'Ask', ...described, approval: 'NEVER', graphql: target },
      { name: 'page', ...described, effect: 'READ', client: true },
      { name: 'own', ...described, effect: 'WRITE', approval: 'ALWAYS', handler: true },
    ]);
  });

  test('joins the tools of an MCP server', () => {
    const server = { url: 'https://mcp.example.com/mcp', authorizationSecretArn: null };
    const tools = [
      tool({ name: 'docs_search_pages', mcp: { ...server, toolName: 'search-pages' } }),
      tool({ name: 'docs_read', mcp: { ...server, toolName: 'read' } }),
      tool({ name: 'docs_write', approval: 'ALWAYS', mcp: { ...server, toolName: 'write' } }),
    ];
    const { url } = server;
    expect(inputOf({ ...AGENT, tools }).tools).toEqual([
      { name: 'docs', approval: 'NEVER', mcp: { url, tools: ['search-pages', 'read'] } },
      { name: 'docs', approval: 'ALWAYS', mcp: { url, tools: ['write'] } },
    ]);
  });

  test('has the documents', () => {
    const knowledge = {
      knowledgeBaseId: 'KB12345678',
      mode: 'TOOL',
      results: 4,
      search: null,
      minScore: 0.5,
      queryModelId: null,
      onFailure: 'FAIL',
      filter: '{"equals":{"key":"owner","value":"$caller.id"}}',
      rerankModelArn: null,
    } as const;
    expect(inputOf({ ...AGENT, knowledge }).knowledge).toEqual({
      knowledgeBaseId: 'KB12345678',
      mode: 'TOOL',
      results: 4,
      minScore: 0.5,
      onFailure: 'FAIL',
      filter: knowledge.filter,
    });
  });

  test('has what is set of reasoning, caching, other models and the guardrail', () => {
    const guardrail = { version: '2', mode: 'ASYNC', newestMessageOnly: false } as const;
    const ownSettings = ['VERSION', 'MODE', 'NEWEST_MESSAGE_ONLY'] as const;
    const settings = {
      reasoning: { effort: 'HIGH', budgetTokens: 4096 },
      promptCaching: 'ONE_HOUR',
      fallbackModelIds: ['one', 'two'],
      guardrail,
    } as const;
    const agent = { ...AGENT, ...settings, guardrail: { ...guardrail, id: 'gr1', ownSettings } };
    expect(inputOf(agent)).toMatchObject(settings);
    const cleared = { ...formOf(agent), guardrail: newForm('').guardrail };
    const parsed = parseForm({ ...cleared, budgetTokens: '', reasoningEffort: '' });
    expect(parsed.ok && Object.keys(parsed.input)).not.toContain('guardrail');
    expect(parsed.ok && Object.keys(parsed.input)).not.toContain('reasoning');
  });

  test('leaves what the agent does not set of the guardrail to the parameters', () => {
    const values = { id: 'gr1', version: '2', mode: 'ASYNC', newestMessageOnly: false } as const;
    const guardrailOf = (ownSettings: ('MODE' | 'NEWEST_MESSAGE_ONLY')[]) =>
      inputOf({ ...AGENT, guardrail: { ...values, ownSettings } }).guardrail;
    expect(guardrailOf([])).toBeUndefined();
    expect(guardrailOf(['MODE'])).toEqual({ mode: 'ASYNC' });
    expect(guardrailOf(['NEWEST_MESSAGE_ONLY'])).toEqual({ newestMessageOnly: false });
  });

  test('of a new agent leaves everything to the defaults of the API', () => {
    const lambda: ToolForm = {
      ...EMPTY_TOOL,
      key: 0,
      name: ' find ',
      functionArn: 'arn',
      url: 'of another kind',
    };
    expect(parseForm({ ...newForm('model'), id: ' helper ', tools: [lambda] })).toEqual({
      ok: true,
      input: { id: 'helper', modelId: 'model', tools: [{ name: 'find', lambda: { functionArn: 'arn' } }] },
    });
  });

  test('names a field that is no number', () => {
    expect(parseForm({ ...newForm('model'), temperature: 'warm' })).toEqual({
      ok: false,
      reason: 'Temperature must be a number.',
    });
  });
});
