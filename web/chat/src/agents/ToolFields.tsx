import { Trash2 } from 'lucide-react';

import { type ToolForm, type ToolKind } from './agentForm.js';
import { AreaField, SelectField, TextField } from './fields.js';

const KINDS: Record<ToolKind, string> = {
  LAMBDA: 'Lambda function',
  GRAPHQL: 'GraphQL operation',
  MCP: 'MCP server',
  CLIENT: 'run by a client',
  HANDLER: 'of the handler',
};
const EFFECTS = { '': 'by default', READ: 'only reads', WRITE: 'changes something' } as const;
const APPROVALS = { '': 'by default', ALWAYS: 'always', NEVER: 'never' } as const;

interface Props {
  readonly tool: ToolForm;
  readonly onChange: (fields: Partial<ToolForm>) => void;
  readonly onRemove: () => void;
}

/** One tool, or one MCP server with its tools. */
export function ToolFields({ tool, onChange, onRemove }: Props) {
  const text = (name: TextName, label: string, hint?: string) => (
    <TextField
      label={label}
      {...(hint !== undefined && { hint })}
      value={tool[name]}
      onChange={(value) => {
        onChange({ [name]: value });
      }}
    />
  );
  const isServer = tool.kind === 'MCP';
  return (
    <fieldset className="tool-fields">
      <legend>{tool.name || 'New tool'}</legend>
      <div className="agent-editor-grid">
        {text(
          'name',
          'Name of the tool',
          isServer ? 'It begins the names of the server’s tools.' : undefined,
        )}
        <SelectField
          label="Kind of tool"
          value={tool.kind}
          options={KINDS}
          onChange={(kind) => {
            onChange({ kind });
          }}
        />
        {!isServer && text('title', 'Title', 'For people.')}
        {tool.kind === 'LAMBDA' && text('functionArn', 'Function', 'Its ARN.')}
        {tool.kind === 'GRAPHQL' && text('url', 'API', 'Its URL; this API by default.')}
        {isServer && text('url', 'Server', 'Its URL.')}
        {isServer &&
          text('authorizationSecretArn', 'Secret', 'The ARN of the secret with its authorization.')}
        {!isServer && tool.kind !== 'GRAPHQL' && (
          <SelectField
            label="Effect"
            value={tool.effect}
            options={EFFECTS}
            onChange={(effect) => {
              onChange({ effect });
            }}
          />
        )}
        {tool.kind !== 'CLIENT' && (
          <SelectField
            label="Waits for approval"
            value={tool.approval}
            options={APPROVALS}
            onChange={(approval) => {
              onChange({ approval });
            }}
          />
        )}
      </div>
      <ToolTexts tool={tool} onChange={onChange} />
      <button type="button" className="button" onClick={onRemove}>
        <Trash2 aria-hidden size={16} /> Remove {tool.name || 'the new tool'}
      </button>
    </fieldset>
  );
}

type TextName = 'name' | 'title' | 'functionArn' | 'url' | 'authorizationSecretArn';

function ToolTexts({ tool, onChange }: Omit<Props, 'onRemove'>) {
  return (
    <>
      <AreaField
        label="Description"
        hint="What the tool does and when to call it, for the model."
        rows={2}
        value={tool.description}
        onChange={(description) => {
          onChange({ description });
        }}
      />
      {tool.kind === 'GRAPHQL' && (
        <AreaField
          label="Document"
          hint="One query or mutation. It runs with the credential of the caller."
          isCode
          rows={4}
          value={tool.document}
          onChange={(document) => {
            onChange({ document });
          }}
        />
      )}
      {tool.kind === 'MCP' ? (
        <AreaField
          label="Tools of the server"
          hint="Their names at the server, one a line. All if empty."
          isCode
          rows={2}
          value={tool.toolNames}
          onChange={(toolNames) => {
            onChange({ toolNames });
          }}
        />
      ) : (
        <AreaField
          label="Arguments"
          hint={
            tool.kind === 'GRAPHQL'
              ? 'A JSON Schema; by default that of the operation’s variables.'
              : 'A JSON Schema of the type object.'
          }
          isCode
          rows={4}
          value={tool.inputSchema}
          onChange={(inputSchema) => {
            onChange({ inputSchema });
          }}
        />
      )}
    </>
  );
}
