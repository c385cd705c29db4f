export type { PageConfig } from './config.js';
export type { Session } from './session.js';
export { SignIn } from './SignIn.js';
export { useSession, type LoadConfig, type SessionState } from './useSession.js';
