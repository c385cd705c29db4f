export { AgentsPanel } from './AgentsPanel.js';
export { useAgents } from './useAgents.js';
