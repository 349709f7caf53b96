/**
 * Situations of whole meshes, one YAML file each: a head as in golden cases, then objects. They show what calls become of
 * where several objects meet, and nothing of how resources look.
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import {
  applyDocuments,
  createBuilder,
  describeProxy,
  type ProxyDescription,
  readCaseFile,
  translateFor,
} from "../support/translated-mesh.ts";
import { explainDifference } from "./expectation.ts";
import { readGoldenCalls } from "./golden-calls.ts";
import { decodeResources } from "./resources.ts";
import { simulate } from "./simulate.ts";

const folder = join(import.meta.dirname, "situations");

describe.each(readdirSync(folder))("%s", (file) => {
  const { head, documents } = readCaseFile(join(folder, file));
  const builder = createBuilder();
  const errors = applyDocuments(builder, documents).filter(({ level }) => level === "error");
  const proxies = new Map((head["proxies"] as readonly ProxyDescription[]).map((proxy) => [proxy.name, proxy]));
  const calls = readGoldenCalls(head["simulate"], [...proxies.keys()]);

  it("is made of valid objects", () => {
    expect(errors).toEqual([]);
    expect(calls.length).toBeGreaterThan(0);
  });

  it.each(calls)("$title at $proxy", ({ proxy, call, expect: expectation }) => {
    const description = proxies.get(proxy) as ProxyDescription;
    const resources = decodeResources(translateFor(builder.current, describeProxy(description)));
    const difference = explainDifference(expectation, simulate(resources, call));
    if (difference !== undefined) expect.fail(difference);
  });
});
