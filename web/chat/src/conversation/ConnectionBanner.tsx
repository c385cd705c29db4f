import type { ConnectionState } from 'parlance-client';

interface ConnectionBannerProps {
  readonly connection: ConnectionState;
  readonly isShown: boolean;
}

/** Says when updates do not arrive. */
export function ConnectionBanner({ connection, isShown }: ConnectionBannerProps) {
  const text = isShown ? textOf(connection) : undefined;
  if (text === undefined) return null;
  return (
    <div className="connection" role="status">
      {text}
    </div>
  );
}

function textOf(connection: ConnectionState): string | undefined {
  switch (connection) {
    case 'OFFLINE':
      return 'You are offline. The conversation goes on when the network is back.';
    case 'WAITING_TO_RECONNECT':
      return 'The connection is lost. Connecting again…';
    case 'CONNECTING':
    case 'CONNECTED':
    case 'CLOSED':
      return undefined;
  }
}
