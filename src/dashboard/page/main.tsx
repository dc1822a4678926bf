import { render } from 'preact';
import { Dashboard } from './dashboard.js';

const root = document.querySelector('#app');
if (root !== null) render(<Dashboard />, root);
