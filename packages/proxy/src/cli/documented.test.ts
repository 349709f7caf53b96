import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { listExtensions } from "../config/extensions.ts";

it("names every extension in docs/proxy.md, and no other of these kinds", () => {
  const text = readFileSync(new URL("../../../../docs/proxy.md", import.meta.url), "utf8");
  const taken = new Set(listExtensions().flatMap(({ name }) => name ?? []));
  const rows = text.split("\n").filter((line) => /^\|.*`(?:envoy|istio)\./.test(line));
  const named = rows.flatMap((line) =>
    [...line.matchAll(/`((?:envoy|istio)\.[\w.]+)`/g)].flatMap(([, name]) => name ?? []),
  );
  expect([...taken].filter((name) => !named.includes(name))).toEqual([]);
  expect(named.filter((name) => !taken.has(name))).toEqual([]);
});
