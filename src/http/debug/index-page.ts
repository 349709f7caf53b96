import type { DebugPage } from "./pages.ts";

/** The page at /debug: a table of links. */
export function buildIndexPage(pages: readonly DebugPage[]): string {
  const rows = pages.flatMap(({ path, help, variants = [] }) => [
    buildRow(path, help),
    ...variants.map((variant) => buildRow(`${path}?${variant.query}`, variant.help)),
  ]);
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Meltemi: debug</title>
<style>
  body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 56rem; padding: 0 1rem; }
  table { border-collapse: collapse; width: 100%; }
  th, td { border-bottom: 1px solid #ddd; padding: .4rem .8rem; text-align: left; }
  code { white-space: nowrap; }
</style></head>
<body>
<h1>Debug pages</h1>
<p>Add <code>?pretty</code> for indented JSON. Pages other than this one answer only requests from this machine.</p>
<table>
<tr><th>Page</th><th>What it shows</th></tr>
${rows.join("\n")}
</table>
</body>
</html>
`;
}

function buildRow(link: string, help: string): string {
  const href = escapeHtml(`/debug/${link}`);
  return `<tr><td><a href="${href}"><code>${escapeHtml(link)}</code></a></td><td>${escapeHtml(help)}</td></tr>`;
}

function escapeHtml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
}
