/** The form of an agent: its fields are texts, as inputs have them. */
import type {
  AgentSettings,
  GuardrailInput,
  GuardrailMode,
  KnowledgeFailure,
  KnowledgeInput,
  KnowledgeMode,
  KnowledgeSearch,
  PromptCaching,
  PutAgentInput,
  ReasoningEffort,
  ToolApproval,
  ToolEffect,
  ToolInput,
  ToolSettings,
} from 'parlance-client';

export interface AgentForm {
  readonly id: string;
  readonly name: string;
  readonly modelId: string;
  readonly systemPrompt: string;
  readonly maxTokens: string;
  readonly temperature: string;
  readonly topP: string;
  /** One a line. */
  readonly stopSequences: string;
  readonly contextBytes: string;
  readonly maxSteps: string;
  readonly toolTimeoutSeconds: string;
  readonly tools: readonly ToolForm[];
  /** Undefined for an agent without documents. */
  readonly knowledge: KnowledgeForm | undefined;
  /** Empty for the model's own default. */
  readonly reasoningEffort: ReasoningEffort | '';
  readonly budgetTokens: string;
  readonly promptCaching: PromptCaching;
  /** One a line. */
  readonly fallbackModelIds: string;
  readonly guardrail: GuardrailForm;
}

/** Empty fields are as the deployment's parameters say. */
export interface GuardrailForm {
  readonly id: string;
  readonly version: string;
  readonly mode: GuardrailMode | '';
  readonly newestMessageOnly: 'true' | 'false' | '';
}

type GuardrailSettings = NonNullable<AgentSettings['guardrail']>;

const DEFAULT_GUARDRAIL: GuardrailForm = { id: '', version: '', mode: '', newestMessageOnly: '' };

export interface ToolForm {
  /** Tells tools of the form apart while their names are written. */
  readonly key: number;
  readonly kind: ToolKind;
  readonly name: string;
  readonly title: string;
  readonly description: string;
  readonly inputSchema: string;
  /** Empty for the API's default. */
  readonly effect: ToolEffect | '';
  readonly approval: ToolApproval | '';
  readonly functionArn: string;
  readonly document: string;
  /** Of a GraphQL API or an MCP server. */
  readonly url: string;
  readonly authorizationSecretArn: string;
  /** The names of an MCP server's tools, one a line. Empty for all. */
  readonly toolNames: string;
}

export const TOOL_KINDS = ['LAMBDA', 'GRAPHQL', 'MCP', 'CLIENT', 'HANDLER'] as const;
export type ToolKind = (typeof TOOL_KINDS)[number];

export interface KnowledgeForm {
  readonly knowledgeBaseId: string;
  readonly mode: KnowledgeMode;
  readonly results: string;
  readonly search: KnowledgeSearch | '';
  readonly minScore: string;
  readonly filter: string;
  readonly rerankModelArn: string;
  readonly queryModelId: string;
  readonly onFailure: KnowledgeFailure;
}

/** The input of putAgent, or a sentence about a field that is no number. The API checks everything else. */
export type ParsedForm =
  { readonly ok: true; readonly input: PutAgentInput } | { readonly ok: false; readonly reason: string };

export const EMPTY_TOOL: Omit<ToolForm, 'key'> = {
  kind: 'LAMBDA',
  name: '',
  title: '',
  description: '',
  inputSchema: '',
  effect: '',
  approval: '',
  functionArn: '',
  document: '',
  url: '',
  authorizationSecretArn: '',
  toolNames: '',
};

export const EMPTY_KNOWLEDGE: KnowledgeForm = {
  knowledgeBaseId: '',
  mode: 'ALWAYS',
  results: '',
  search: '',
  minScore: '',
  filter: '',
  rerankModelArn: '',
  queryModelId: '',
  onFailure: 'ANSWER',
};

/** The form of a new agent, with a model to begin with. */
export function newForm(modelId: string): AgentForm {
  return {
    id: '',
    name: '',
    modelId,
    systemPrompt: '',
    maxTokens: '',
    temperature: '',
    topP: '',
    stopSequences: '',
    contextBytes: '',
    maxSteps: '',
    toolTimeoutSeconds: '',
    tools: [],
    knowledge: undefined,
    reasoningEffort: '',
    budgetTokens: '',
    promptCaching: 'FIVE_MINUTES',
    fallbackModelIds: '',
    guardrail: DEFAULT_GUARDRAIL,
  };
}

/** The form whose next version would be the agent as it is. */
export function formOf(agent: AgentSettings): AgentForm {
  const { inference, knowledge, reasoning, guardrail } = agent;
  return {
    id: agent.id,
    name: agent.name ?? '',
    modelId: agent.modelId,
    systemPrompt: agent.systemPrompt ?? '',
    maxTokens: textOf(inference?.maxTokens),
    temperature: textOf(inference?.temperature),
    topP: textOf(inference?.topP),
    stopSequences: (inference?.stopSequences ?? []).join('\n'),
    contextBytes: textOf(agent.contextBytes),
    maxSteps: textOf(agent.maxSteps),
    toolTimeoutSeconds: textOf(agent.toolTimeoutSeconds),
    tools: joinServers(agent.tools).map((tool, key) => ({ ...tool, key })),
    knowledge: knowledge
      ? {
          knowledgeBaseId: knowledge.knowledgeBaseId,
          mode: knowledge.mode,
          results: textOf(knowledge.results),
          search: knowledge.search ?? '',
          minScore: textOf(knowledge.minScore),
          filter: knowledge.filter ?? '',
          rerankModelArn: knowledge.rerankModelArn ?? '',
          queryModelId: knowledge.queryModelId ?? '',
          onFailure: knowledge.onFailure,
        }
      : undefined,
    reasoningEffort: reasoning?.effort ?? '',
    budgetTokens: textOf(reasoning?.budgetTokens),
    promptCaching: agent.promptCaching,
    fallbackModelIds: agent.fallbackModelIds.join('\n'),
    guardrail: guardrail ? guardrailFormOf(guardrail) : DEFAULT_GUARDRAIL,
  };
}

/** What the agent does not set itself stays empty, so that it goes on to follow the deployment's parameters. */
function guardrailFormOf(guardrail: GuardrailSettings): GuardrailForm {
  const { version, mode, newestMessageOnly, ownSettings } = guardrail;
  const onlyNewest = newestMessageOnly ? 'true' : 'false';
  return {
    id: '',
    version: ownSettings.includes('VERSION') ? version : '',
    mode: ownSettings.includes('MODE') ? mode : '',
    newestMessageOnly: ownSettings.includes('NEWEST_MESSAGE_ONLY') ? onlyNewest : '',
  };
}

export function parseForm(form: AgentForm): ParsedForm {
  try {
    return { ok: true, input: inputOf(form) };
  } catch (error) {
    if (error instanceof NumberError) return { ok: false, reason: error.message };
    throw error;
  }
}

function inputOf(form: AgentForm): PutAgentInput {
  const stopSequences = linesOf(form.stopSequences);
  const inference = withoutEmpty({
    maxTokens: numberOf(form.maxTokens, 'Maximum tokens'),
    temperature: numberOf(form.temperature, 'Temperature'),
    topP: numberOf(form.topP, 'Top P'),
    stopSequences: stopSequences.length > 0 ? stopSequences : undefined,
  });
  const fallbackModelIds = linesOf(form.fallbackModelIds).map((line) => line.trim());
  return {
    id: form.id.trim(),
    modelId: form.modelId.trim(),
    ...withoutEmpty({
      name: optional(form.name),
      systemPrompt: optional(form.systemPrompt),
      inference: Object.keys(inference).length > 0 ? inference : undefined,
      contextBytes: numberOf(form.contextBytes, 'Context'),
      maxSteps: numberOf(form.maxSteps, 'Steps'),
      toolTimeoutSeconds: numberOf(form.toolTimeoutSeconds, 'Seconds of a tool'),
      tools: form.tools.length > 0 ? form.tools.map(toolInputOf) : undefined,
      knowledge: form.knowledge && knowledgeInputOf(form.knowledge),
      reasoning: unlessEmpty({
        effort: form.reasoningEffort === '' ? undefined : form.reasoningEffort,
        budgetTokens: numberOf(form.budgetTokens, 'Tokens to think with'),
      }),
      promptCaching: form.promptCaching === 'FIVE_MINUTES' ? undefined : form.promptCaching,
      fallbackModelIds: fallbackModelIds.length > 0 ? fallbackModelIds : undefined,
      guardrail: guardrailInputOf(form.guardrail),
    }),
  };
}

/** Only the fields that the kind has: the form keeps what was written for another kind. */
function toolInputOf(tool: ToolForm): ToolInput {
  const { kind } = tool;
  const described = { title: optional(tool.title), description: optional(tool.description) };
  const inputSchema = optional(tool.inputSchema);
  const effect = tool.effect === '' ? undefined : tool.effect;
  const approval = tool.approval === '' ? undefined : tool.approval;
  const url = optional(tool.url);
  const fields = ((): Partial<Record<keyof ToolInput, unknown>> => {
    switch (kind) {
      case 'LAMBDA':
        return {
          ...described,
          inputSchema,
          effect,
          approval,
          lambda: { functionArn: tool.functionArn.trim() },
        };
      case 'GRAPHQL':
        return {
          ...described,
          inputSchema,
          approval,
          graphql: withoutEmpty({ document: tool.document, url }),
        };
      case 'MCP':
        return { description: described.description, approval, mcp: serverInputOf(tool) };
      case 'CLIENT':
        return { ...described, inputSchema, effect, client: true };
      case 'HANDLER':
        return { ...described, inputSchema, effect, approval, handler: true };
    }
  })();
  return { name: tool.name.trim(), ...withoutEmpty(fields) } as ToolInput;
}

function serverInputOf({ url, authorizationSecretArn, toolNames }: ToolForm) {
  const tools = linesOf(toolNames);
  return withoutEmpty({
    url: url.trim(),
    authorizationSecretArn: optional(authorizationSecretArn),
    tools: tools.length > 0 ? tools : undefined,
  });
}

function knowledgeInputOf(form: KnowledgeForm): KnowledgeInput {
  return withoutEmpty({
    knowledgeBaseId: optional(form.knowledgeBaseId),
    mode: form.mode,
    results: numberOf(form.results, 'Passages'),
    search: form.search === '' ? undefined : form.search,
    minScore: numberOf(form.minScore, 'Lowest score'),
    filter: optional(form.filter),
    rerankModelArn: optional(form.rerankModelArn),
    queryModelId: optional(form.queryModelId),
    onFailure: form.onFailure,
  });
}

function guardrailInputOf(form: GuardrailForm): GuardrailInput | undefined {
  return unlessEmpty({
    id: optional(form.id),
    version: optional(form.version),
    mode: form.mode === '' ? undefined : form.mode,
    newestMessageOnly: form.newestMessageOnly === '' ? undefined : form.newestMessageOnly === 'true',
  });
}

/**
 * The agent has each tool of an MCP server as a tool of its own; putAgent takes the server. Tools of one
 * server with the same beginning of their names and the same approval are put as one.
 */
function joinServers(tools: readonly ToolSettings[]): Omit<ToolForm, 'key'>[] {
  const forms: Omit<ToolForm, 'key'>[] = [];
  const servers = new Map<string, { index: number; names: string[] }>();
  for (const tool of tools) {
    const form = toolFormOf(tool);
    if (!tool.mcp) {
      forms.push(form);
      continue;
    }
    const server = JSON.stringify([form.name, form.url, form.authorizationSecretArn, form.approval]);
    const known = servers.get(server);
    if (known) {
      known.names.push(tool.mcp.toolName);
      forms[known.index] = { ...form, toolNames: known.names.join('\n') };
    } else {
      servers.set(server, { index: forms.length, names: [tool.mcp.toolName] });
      forms.push({ ...form, toolNames: tool.mcp.toolName });
    }
  }
  return forms;
}

function toolFormOf(tool: ToolSettings): Omit<ToolForm, 'key'> {
  const { lambda, graphql, mcp } = tool;
  const common = { ...EMPTY_TOOL, name: tool.name, effect: tool.effect, approval: tool.approval };
  if (mcp) {
    return {
      ...common,
      kind: 'MCP',
      name: beginningOf(tool.name, mcp.toolName),
      url: mcp.url,
      authorizationSecretArn: mcp.authorizationSecretArn ?? '',
    };
  }
  const described = {
    ...common,
    title: tool.title ?? '',
    description: tool.description,
    inputSchema: tool.inputSchema,
  };
  if (lambda) return { ...described, kind: 'LAMBDA', functionArn: lambda.functionArn };
  if (graphql) return { ...described, kind: 'GRAPHQL', document: graphql.document, url: graphql.url ?? '' };
  return { ...described, kind: tool.client ? 'CLIENT' : 'HANDLER' };
}

/** The name that was put for a server: the API adds `_` and the tool's name with `_` for other characters. */
function beginningOf(name: string, toolName: string): string {
  const end = `_${toolName.replace(/\W/g, '_')}`;
  return name.endsWith(end) ? name.slice(0, -end.length) : name;
}

class NumberError extends Error {}

function numberOf(text: string, label: string): number | undefined {
  if (text.trim() === '') return undefined;
  const number = Number(text);
  if (!Number.isFinite(number)) throw new NumberError(`${label} must be a number.`);
  return number;
}

function optional(text: string): string | undefined {
  return text.trim() === '' ? undefined : text;
}

function linesOf(text: string): string[] {
  return text.split('\n').filter((line) => line !== '');
}

function textOf(value: number | null | undefined): string {
  return value === null || value === undefined ? '' : String(value);
}

type WithoutEmpty<Fields> = { [Key in keyof Fields]?: Exclude<Fields[Key], undefined> };

/** The fields that are there; undefined where none is. */
function unlessEmpty<Fields extends object>(fields: Fields): WithoutEmpty<Fields> | undefined {
  const others = withoutEmpty(fields);
  return Object.keys(others).length > 0 ? others : undefined;
}

function withoutEmpty<Fields extends object>(fields: Fields): WithoutEmpty<Fields> {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== undefined),
  ) as WithoutEmpty<Fields>;
}
