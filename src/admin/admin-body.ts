export { readBody, readParameters as readQuery } from '../http/api-input.js';
