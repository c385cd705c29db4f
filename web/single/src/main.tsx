import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import '../../chat/src/styles/index.css';
import { SinglePage } from './SinglePage.js';
import './single.css';

const root = document.getElementById('root');
if (!root) throw new Error('index.html has no element #root.');
createRoot(root).render(
  <StrictMode>
    <SinglePage />
  </StrictMode>,
);
