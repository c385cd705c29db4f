import {
  AssistantRuntimeProvider,
  ComposerPrimitive,
  MessagePrimitive,
  ThreadPrimitive,
} from '@assistant-ui/react';
import { useParlanceRuntime } from 'parlance-client/assistant-ui';
import { client } from './client.js';

export function Page() {
  return (
    <AssistantRuntimeProvider runtime={useParlanceRuntime(client)}>
      <ThreadPrimitive.Messages>{() => <MessagePrimitive.Parts />}</ThreadPrimitive.Messages>
      <ComposerPrimitive.Root>
        <ComposerPrimitive.Input name="text" />
        <ComposerPrimitive.Cancel>Stop</ComposerPrimitive.Cancel>
      </ComposerPrimitive.Root>
    </AssistantRuntimeProvider>
  );
}
