/** Style of the reference page; its Content-Security-Policy names this text by its hash. */
export const REFERENCE_STYLE = `
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --accent: light-dark(#0b5cad, #7db8f5); }
* { box-sizing: border-box; }
body { margin: 0; font: 16px/1.5 system-ui, sans-serif; display: grid; grid-template-columns: 19rem minmax(0, 1fr); }
nav { position: sticky; top: 0; height: 100vh; overflow-y: auto; padding: 1rem; border-right: 1px solid var(--line); font-size: .85rem; }
nav h2 { font-size: .8rem; margin: 1rem 0 .25rem; opacity: .75; }
nav ul { list-style: none; margin: 0; padding: 0; }
nav a { display: block; padding: .15rem 0; overflow-wrap: anywhere; text-decoration: none; }
a { color: var(--accent); }
main { padding: 1rem 2rem 4rem; max-width: 64rem; }
article { border-top: 1px solid var(--line); padding-top: .5rem; margin-top: 2rem; scroll-margin-top: 1rem; }
h3 { font-size: 1.1rem; } h4 { margin: 1rem 0 .25rem; font-weight: 500; font-size: 1rem; }
.call { display: block; font-weight: 500; overflow-wrap: anywhere; }
.verb { font: 700 .72rem/1 ui-monospace, monospace; display: inline-block; min-width: 3.6rem; color: var(--accent); }
.delete { color: light-dark(#b3261e, #ff8a80); }
.status { font: 700 .85rem/1 ui-monospace, monospace; padding: .15rem .4rem; border: 1px solid var(--line); border-radius: .3rem; }
.s2 { color: light-dark(#146c2e, #7bd88f); } .s4, .s5 { color: light-dark(#b3261e, #ff8a80); }
code, pre { font-family: ui-monospace, monospace; font-size: .85em; }
pre { background: var(--soft); border: 1px solid var(--line); border-radius: .4rem; padding: .75rem; overflow-x: auto; margin: .25rem 0 .75rem; }
.note { font-size: .85rem; opacity: .8; margin: .25rem 0; }
details { margin: .25rem 0; } summary { cursor: pointer; font-size: .9rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem .3rem 0; border-bottom: 1px solid var(--line); }
@media (max-width: 50rem) {
  body { display: block; }
  nav { position: static; height: auto; border-right: 0; border-bottom: 1px solid var(--line); }
  main { padding: 1rem; }
}
`;
