import { apiCall } from '../http/api-call.js';

export const metricsCall = apiCall({
  chapter: 'Operations',
  summary: 'Metrics for Prometheus',
  description:
    'Needs METRICS_TOKEN or the admin token, unless METRICS_ACCESS is `open`. docs/metrics.md lists the names.',
  open: false,
  answers: {
    200: { description: "Prometheus's text format.", contentType: 'text/plain' },
  },
});
