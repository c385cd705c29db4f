/** The documents for administrators. */
import { agentSettings, model } from './administratorSelections.js';
import { documentsOf } from './documents.js';

export const administratorDocuments = documentsOf({
  getAgentSettings: ['id: ID!', agentSettings, '', 'getAgent'],
  listModels: ['', model],
  putAgent: ['input: PutAgentInput!', agentSettings],
});
