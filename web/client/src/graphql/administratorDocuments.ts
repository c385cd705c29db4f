/** The documents for administrators. */
import { agentSettings } from './administratorSelections.js';
import { mutation, query } from './documents.js';

export const administratorDocuments = {
  getAgentSettings: query('getAgentSettings', 'id: ID!', agentSettings, { field: 'getAgent' }),
  putAgent: mutation('putAgent', 'input: PutAgentInput!', agentSettings),
};
