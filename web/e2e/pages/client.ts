import { createClient } from 'parlance-client';

export const client = createClient({
  url: import.meta.env.VITE_API_URL,
  credentials: { mode: 'API_KEY', apiKey: import.meta.env.VITE_API_KEY },
});
