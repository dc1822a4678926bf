/** How PostgreSQL has carried out one statement. */
export interface StatementPlan {
  readonly text: string;
  /** Tables that were read from one end to the other. */
  readonly scannedTables: readonly string[];
  /** Blocks of 8 KiB that were looked at to find rows, in tables and indices. */
  readonly blocks: number;
  /** Rows that any step gave or threw away. */
  readonly rows: number;
}

interface PlanNode {
  readonly 'Node Type': string;
  readonly 'Relation Name'?: string;
  readonly 'Actual Loops'?: number;
  /** For each loop. */
  readonly 'Actual Rows'?: number;
  readonly 'Rows Removed by Filter'?: number;
  readonly 'Rows Removed by Join Filter'?: number;
  readonly 'Rows Removed by Index Recheck'?: number;
  readonly 'Shared Hit Blocks'?: number;
  readonly 'Shared Read Blocks'?: number;
  readonly Plans?: readonly PlanNode[];
}

/** Server settings with which every statement of every session leaves its plan in the log, those of triggers too. */
export const PLANS_IN_LOG = {
  session_preload_libraries: 'auto_explain',
  'auto_explain.log_min_duration': '0',
  'auto_explain.log_analyze': 'on',
  'auto_explain.log_buffers': 'on',
  'auto_explain.log_timing': 'off',
  'auto_explain.log_nested_statements': 'on',
  'auto_explain.log_parameter_max_length': '0',
  'auto_explain.log_format': 'json',
};

/** The plans in a server's log, in order. */
export function plansIn(log: string): StatementPlan[] {
  return log
    .split(/^\S.*? LOG: {2}duration: .* plan:\n/m)
    .slice(1)
    .map((rest) => {
      // Further lines of an entry begin with a tab.
      const lines = rest.split('\n');
      const end = lines.findIndex((line) => !line.startsWith('\t'));
      const { 'Query Text': text, Plan: root } = JSON.parse(lines.slice(0, end).join('\n')) as {
        'Query Text': string;
        Plan: PlanNode;
      };
      const scans = nodesOf(root).filter((node) => node['Relation Name'] !== undefined && isScan(node));
      const scannedTables = scans
        .filter((node) => node['Node Type'] === 'Seq Scan' && (node['Actual Loops'] ?? 0) > 0)
        .map((node) => node['Relation Name'] as string);
      const blocks = scans.reduce((sum, node) => sum + blocksOf(node), 0);
      const rows = nodesOf(root).reduce((sum, node) => sum + rowsOf(node), 0);
      return { text, scannedTables, blocks, rows };
    });
}

function nodesOf(node: PlanNode): PlanNode[] {
  return [node, ...(node.Plans ?? []).flatMap(nodesOf)];
}

/** Not the nodes that write: what they do with rows that were found costs the same in any table. */
function isScan(node: PlanNode): boolean {
  return node['Node Type'].endsWith('Scan');
}

function blocksOf(node: PlanNode): number {
  return (node['Shared Hit Blocks'] ?? 0) + (node['Shared Read Blocks'] ?? 0);
}

function rowsOf(node: PlanNode): number {
  const { 'Actual Loops': loops = 0, 'Actual Rows': given = 0 } = node;
  const removed =
    (node['Rows Removed by Filter'] ?? 0) +
    (node['Rows Removed by Join Filter'] ?? 0) +
    (node['Rows Removed by Index Recheck'] ?? 0);
  return loops * (given + removed);
}
