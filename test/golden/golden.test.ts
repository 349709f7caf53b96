import { readdirSync } from "node:fs";
import { join } from "node:path";
import { encode, findUnknownKeys, toJson } from "@meltemi/protos";
import { describe, expect, it } from "vitest";
import { stringify } from "yaml";
import { formatMessage } from "../../src/lib/message.ts";
import { explainDifference } from "../simulate/expectation.ts";
import { readGoldenCalls } from "../simulate/golden-calls.ts";
import { decodeResources, type ProxyResources } from "../simulate/resources.ts";
import { simulate } from "../simulate/simulate.ts";
import type { Features } from "../../src/model/features.ts";
import {
  applyDocuments,
  createBuilder,
  describeProxy,
  messagesFor,
  type ProxyDescription,
  type ResourcesOfProxy,
  readCaseFile,
  registerProxies,
  translateFor,
  typeNames,
} from "../support/translated-mesh.ts";

const folder = import.meta.dirname;
const cases = readdirSync(folder, { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && !entry.name.startsWith("_"))
  .map((entry) => entry.name);

const yamlOptions = { lineWidth: 0, aliasDuplicateObjects: false } as const;
const kinds = Object.keys(typeNames) as readonly (keyof ResourcesOfProxy)[];
// Every sidecar is served names of all services: only cases about them show these.
const shownUnasked = kinds.filter((kind) => kind !== "names");

describe.each(cases)("golden %s", (name) => {
  const { head, documents } = readCaseFile(join(folder, name, "in.yaml"));
  const proxies = head["proxies"] as readonly ProxyDescription[];
  // What the case is about. Everything else is generated and encoded too, but not written down.
  const shown = (head["show"] ?? shownUnasked) as readonly (keyof ResourcesOfProxy)[];
  // Of many alike resources those that the case is about: parts of their names.
  const only = (head["only"] ?? [""]) as readonly string[];
  const builder = createBuilder(head["features"] as Partial<Features> | undefined);
  const parsing = applyDocuments(builder, documents);
  registerProxies(builder, proxies.map(describeProxy), parsing);
  const expected = new Set(["in.yaml", "out.messages.yaml"]);

  it("says what it has to say", async () => {
    // What only some proxies see (conflicts of Gateways, hosts that come twice) is told where the case asks for it.
    const seers = head["scopeMessages"] === true ? proxies : [];
    const seen = seers.flatMap((proxy) => messagesFor(builder.current, describeProxy(proxy)));
    const lines = [...new Set([...parsing, ...builder.current.messages, ...seen].map(formatMessage))].sort();
    await expect(stringify(lines, yamlOptions)).toMatchFileSnapshot(join(folder, name, "out.messages.yaml"));
  });

  for (const proxy of proxies) {
    for (const kind of kinds) {
      const file = `out.${proxy.name}.${kind}.yaml`;
      if (shown.includes(kind)) expected.add(file);
      it(`gives ${proxy.name} its ${kind}`, async () => {
        const built = translateFor(builder.current, describeProxy(proxy))[kind];
        for (const { name: resource, message } of built) {
          // Encoding is strict, and the verifier also looks for two set members of one oneof.
          encode(typeNames[kind], message);
          expect(findUnknownKeys(typeNames[kind], message), resource).toEqual([]);
        }
        if (!shown.includes(kind)) return;
        const told = built.filter(({ name: resource }) => only.some((part) => resource.includes(part)));
        const json = told.map(({ message }) => toJson(typeNames[kind], message));
        const sorted = json.sort((a, b) => (resourceName(a) < resourceName(b) ? -1 : 1));
        await expect(stringify(sorted, yamlOptions)).toMatchFileSnapshot(join(folder, name, file));
      });
    }
  }

  const calls = readGoldenCalls(
    head["simulate"],
    proxies.map((proxy) => proxy.name),
  );
  const held = new Map<string, ProxyResources>();
  const resourcesOf = (caller: string): ProxyResources => {
    const proxy = proxies.find((one) => one.name === caller) as ProxyDescription;
    const resources = held.get(caller) ?? decodeResources(translateFor(builder.current, describeProxy(proxy)));
    held.set(caller, resources);
    return resources;
  };
  for (const { title, proxy: caller, call, expect: expectation } of calls) {
    it(`takes ${title} at ${caller} as expected`, () => {
      const difference = explainDifference(expectation, simulate(resourcesOf(caller), call));
      if (difference !== undefined) expect.fail(difference);
    });
  }

  it("has no file that nothing writes", () => {
    expect(readdirSync(join(folder, name)).filter((file) => !expected.has(file))).toEqual([]);
  });
});

function resourceName(json: unknown): string {
  const { name, cluster_name } = json as { readonly name?: string; readonly cluster_name?: string };
  return name ?? cluster_name ?? "";
}
