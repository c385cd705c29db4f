import { Ellipsis, Pencil, Share2, Trash2 } from 'lucide-react';
import type { Agent, ConversationSnapshot, ConversationStore } from 'parlance-client';
import { useState, type ReactNode } from 'react';
import { useWorkspace } from '../app/workspace.js';
import { DeleteDialog } from '../conversations/DeleteDialog.js';
import { RenameDialog } from '../conversations/RenameDialog.js';
import { ShareDialog } from '../conversations/ShareDialog.js';
import { Choice } from '../ui/Choice.js';
import { Menu } from '../ui/Menu.js';

interface HeaderProps {
  readonly store: ConversationStore;
  readonly snapshot: ConversationSnapshot;
  readonly title: string | undefined;
  readonly newAgentId: string;
  readonly setNewAgentId: (agentId: string) => void;
  readonly drawerButton: ReactNode;
}

type OpenDialog = 'RENAME' | 'SHARE' | 'DELETE' | undefined;

export function Header({ store, snapshot, title, newAgentId, setNewAgentId, drawerButton }: HeaderProps) {
  const { id, conversation } = snapshot;
  return (
    <header className="header">
      {drawerButton}
      <h1 className="title">
        <bdi>{title ?? (id === undefined ? 'New conversation' : 'Untitled')}</bdi>
      </h1>
      {id === undefined ? (
        <AgentChoice agentId={newAgentId} onChange={setNewAgentId} />
      ) : (
        conversation && <AgentOfConversation store={store} snapshot={snapshot} />
      )}
      {conversation && <Options store={store} snapshot={snapshot} title={title} />}
    </header>
  );
}

interface AgentChoiceProps {
  readonly agentId: string;
  readonly onChange: (agentId: string) => void;
  readonly isDisabled?: boolean;
}

function AgentChoice({ agentId, onChange, isDisabled = false }: AgentChoiceProps) {
  const { agents } = useWorkspace();
  const options = agents.map(optionOf);
  return (
    <Choice label="Agent" value={agentId} options={options} onChange={onChange} isDisabled={isDisabled} />
  );
}

function optionOf({ id, name, modelId }: Agent) {
  return { value: id, label: name ?? id, description: modelId };
}

function AgentOfConversation({ store, snapshot }: Pick<HeaderProps, 'store' | 'snapshot'>) {
  const { client, report } = useWorkspace();
  const { conversation } = snapshot;
  if (!conversation) return null;
  const { id, agentId, access } = conversation;
  return (
    <AgentChoice
      agentId={agentId}
      isDisabled={access !== 'OWNER'}
      onChange={(next) => {
        client
          .updateConversation({ id, agentId: next })
          .then(() => store.reload())
          .catch(report);
      }}
    />
  );
}

function Options({ store, snapshot, title = 'Untitled' }: Pick<HeaderProps, 'store' | 'snapshot' | 'title'>) {
  const [dialog, setDialog] = useState<OpenDialog>();
  const { conversation } = snapshot;
  if (!conversation) return null;
  const { id, access } = conversation;
  const close = () => {
    setDialog(undefined);
  };
  const open = (next: OpenDialog) => () => {
    setDialog(next);
  };
  const share = { label: 'Share', icon: Share2, onSelect: open('SHARE') };
  const items =
    access === 'OWNER'
      ? [
          { label: 'Rename', icon: Pencil, onSelect: open('RENAME') },
          share,
          { label: 'Delete', icon: Trash2, isDangerous: true, onSelect: open('DELETE') },
        ]
      : [share];
  return (
    <>
      <Menu label="Options of the conversation" className="icon-button" items={items}>
        <Ellipsis aria-hidden size={20} />
      </Menu>
      {dialog === 'RENAME' && <RenameDialog id={id} title={title} onClose={close} />}
      {dialog === 'SHARE' && (
        <ShareDialog conversation={conversation} reload={() => store.reload()} onClose={close} />
      )}
      {dialog === 'DELETE' && <DeleteDialog id={id} title={title} onClose={close} />}
    </>
  );
}
