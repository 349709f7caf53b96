import { expect, test } from "vitest";
import { parseObject } from "../parse.ts";

function said(spec: unknown): readonly string[] {
  const raw = { apiVersion: "extensions.istio.io/v1alpha1", kind: "TrafficExtension", metadata: { name: "a" }, spec };
  const { object, messages } = parseObject(raw);
  expect(object === undefined).toBe(messages.some(({ level }) => level === "error"));
  return messages
    .filter(({ code }) => code !== "untranslated-kind")
    .map(({ level, path, text }) => `${level} ${path}: ${text}`);
}

const lua = { inlineCode: "function envoy_on_request(h) end" };
const wasm = { url: "oci://registry.example/filter:1" };
const gateway = { group: "gateway.networking.k8s.io", kind: "Gateway", name: "g" };

const taken: readonly unknown[] = [
  { lua },
  { wasm: { ...wasm, type: "NETWORK", failStrategy: 1 }, phase: "STATS", priority: 5 },
  { lua, targetRefs: [gateway], match: [{ mode: "CLIENT", ports: [{ number: "80" }] }] },
  { lua: { inline_code: "x" }, wasm: null },
];
test.each(taken)("takes %j", (spec) => expect(said(spec)).toEqual([]));

const judged: readonly (readonly [spec: unknown, expected: readonly string[]])[] = [
  [{}, ["error spec: one of wasm, lua is required"]],
  [{ lua, wasm }, ["error spec: only one of wasm, lua may be set"]],
  [{ lua: {} }, ["error spec.lua.inlineCode: is required"]],
  [{ lua: { inlineCode: "" } }, ["error spec.lua.inlineCode: is required"]],
  [{ lua: { inlineCode: "-".repeat(65_537) } }, ["error spec.lua.inlineCode: must not be longer than 65536 bytes"]],
  [
    { wasm: { url: "ftp://a" } },
    ["error spec.wasm.url: must begin with oci://, http://, https:// or file://, not with ftp:"],
  ],
  [
    { lua, phase: "AUTH" },
    ['error spec.phase: must be one of UNSPECIFIED, AUTHN, AUTHZ, STATS, did you mean "AUTHN"?'],
  ],
  [{ lua, match: [{ ports: [null] }] }, ["error spec.match[0].ports[0].number: must be a port from 1 to 65535"]],
  [
    { lua, targetRefs: [{ ...gateway, kind: "Pod" }] },
    ['error spec.targetRefs[0].kind: must be one of Service, ServiceEntry, Gateway, GatewayClass, not "Pod"'],
  ],
  [
    { lua, selector: {}, targetRefs: [gateway] },
    [
      "error spec: only one of selector, targetRefs may be set",
      "warning spec.selector: has no labels, so that it selects every workload of the namespace",
    ],
  ],
];
test.each(judged)("judges %j", (spec, expected) => expect(said(spec)).toEqual(expected));
