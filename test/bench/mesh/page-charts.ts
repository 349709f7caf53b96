/** Charts of Mermaid, as GitHub shows them in Markdown. */

export interface Chart {
  readonly title: string;
  /** Of the vertical axis, with its unit. */
  readonly unit: string;
  /** Under the bars or points. */
  readonly labels: readonly string[];
  /** Bars for sorts of things, lines for sizes; named in the title, as Mermaid has no legend here. */
  readonly kind: "bar" | "line";
  readonly series: readonly (readonly number[])[];
}

export function formatChart({ title, unit, labels, kind, series }: Chart): string {
  const top = Math.max(...series.flat(), 0);
  const rows = series.map((values) => `  ${kind} [${values.map(formatNumber).join(", ")}]`);
  return [
    "```mermaid",
    "xychart-beta",
    `  title ${JSON.stringify(title)}`,
    `  x-axis [${labels.map((label) => JSON.stringify(label)).join(", ")}]`,
    `  y-axis ${JSON.stringify(unit)} 0 --> ${formatNumber(roundUp(top))}`,
    ...rows,
    "```",
  ].join("\n");
}

function formatNumber(value: number): string {
  return String(Number(value.toPrecision(3)));
}

/** To the next number with two digits, so that the highest bar does not touch the edge. */
function roundUp(value: number): number {
  if (value <= 0) return 1;
  const unit = 10 ** (Math.floor(Math.log10(value)) - 1);
  return Math.ceil((value * 1.05) / unit) * unit;
}
