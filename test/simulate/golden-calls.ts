/** The `simulate:` list in the head of a golden case. */
import { type Call, callFields } from "./call.ts";
import type { Expectation } from "./expectation.ts";

export interface GoldenCall {
  /** What the call shows, for the test's title. */
  readonly title: string;
  readonly proxy: string;
  readonly call: Call;
  readonly expect: Expectation;
}

/** Reads the list. Throws on unknown fields, and on entries without `to` or `expect`, so that no line goes unread. */
export function readGoldenCalls(value: unknown, proxies: readonly string[]): readonly GoldenCall[] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) throw new Error("simulate: must be a list");
  return value.map((entry: unknown, index) => readGoldenCall(entry, { index, proxies }));
}

function readGoldenCall(
  entry: unknown,
  { index, proxies }: { readonly index: number; readonly proxies: readonly string[] },
): GoldenCall {
  const at = `simulate[${index}]`;
  if (!isMap(entry)) throw new Error(`${at}: must be a map`);
  const { proxy, expect, title, ...call } = entry;
  const unknownFields = Object.keys(call).filter((field) => !callFields.has(field));
  if (unknownFields.length > 0) throw new Error(`${at}: unknown fields ${unknownFields.join(", ")}`);
  if (typeof call["to"] !== "string") throw new Error(`${at}: "to" must be an address with a port`);
  if (!isMap(expect) || Object.keys(expect).length === 0) throw new Error(`${at}: "expect" must name what to expect`);
  const name = typeof proxy === "string" ? proxy : proxies[0];
  if (name === undefined || !proxies.includes(name)) throw new Error(`${at}: no proxy ${String(proxy)} in this case`);
  // Checked above field by field; values of a wrong type fail in the simulation.
  const typed = call as unknown as Call;
  return { title: typeof title === "string" ? title : describe(typed), proxy: name, call: typed, expect };
}

function describe({ to, method, host, path, tls, direction }: Call): string {
  const what = host === undefined && path === undefined ? "bytes" : `${method ?? "GET"} ${host ?? ""}${path ?? "/"}`;
  const security = tls === undefined ? "" : ` by TLS ${tls === "mesh" ? "of the mesh" : JSON.stringify(tls)}`;
  return `${direction ?? ""} ${what} to ${to}${security}`.trim();
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
