import { expect, test } from "vitest";
import { parseObject } from "../parse.ts";
import { parseModuleScheme } from "./module-url.ts";

function said(spec: unknown): readonly string[] {
  const raw = { apiVersion: "extensions.istio.io/v1alpha1", kind: "WasmPlugin", metadata: { name: "a" }, spec };
  const { object, messages } = parseObject(raw);
  expect(object === undefined).toBe(messages.some(({ level }) => level === "error"));
  return messages
    .filter(({ code }) => code !== "untranslated-kind")
    .map(({ level, path, text }) => `${level} ${path.replace("spec.", "")}: ${text}`);
}

const url = "oci://registry.example/filter:1";

test("a whole one has nothing to say against it", () => {
  const spec = {
    selector: { matchLabels: { app: "a" } },
    url,
    sha256: "0123456789abcdef".repeat(4),
    imagePullPolicy: "Always",
    imagePullSecret: "secret",
    verificationKey: "k",
    pluginConfig: { a: [1, null, { b: true }] },
    pluginName: "p",
    phase: "AUTHN",
    priority: "7",
    failStrategy: "FAIL_RELOAD",
    vmConfig: {
      env: [
        { name: "A", value: "b" },
        { name: "B", valueFrom: "HOST" },
      ],
    },
    match: [{ mode: "SERVER", ports: [{ number: 80 }] }, {}],
    type: "HTTP",
  };
  expect(said(spec)).toEqual([]);
});

const judged: readonly (readonly [spec: unknown, expected: readonly string[]])[] = [
  [{}, ["error url: is required"]],
  [{ url: "" }, ["error url: is required"]],
  [{ url: "ftp://a/b" }, ["error url: must begin with oci://, http://, https:// or file://, not with ftp:"]],
  [{ url, sha256: "abc" }, ["error sha256: must be 64 digits, a to f in small letters"]],
  [{ url, sha256: "A".repeat(64) }, ["error sha256: must be 64 digits, a to f in small letters"]],
  [
    { url, imagePullPolicy: "Never" },
    ["error imagePullPolicy: must be one of UNSPECIFIED_POLICY, IfNotPresent, Always"],
  ],
  [{ url, imagePullSecret: "a".repeat(254) }, ["error imagePullSecret: must not be longer than 253 bytes"]],
  [{ url, pluginName: "é".repeat(129) }, ["error pluginName: must not be longer than 256 bytes"]],
  [{ url, pluginConfig: "x" }, ["error pluginConfig: must be an object, not a string"]],
  [{ url, vmConfig: { env: [{}] } }, ["error vmConfig.env[0].name: is required"]],
  [
    { url, vmConfig: { env: [{ name: "A" }, { name: "A", value: "b", valueFrom: "HOST" }] } },
    [
      'error vmConfig.env[1].name: variable "A" is given twice',
      "error vmConfig.env[1].value: is for valueFrom INLINE only",
    ],
  ],
  [
    { url, match: [{ ports: [{ number: 65536 }, {}] }] },
    [
      "error match[0].ports[0].number: must be a port from 1 to 65535",
      "error match[0].ports[1].number: must be a port from 1 to 65535",
    ],
  ],
  [
    {
      url,
      selector: { matchLabels: { a: "b" } },
      targetRefs: [{ kind: "Gateway", group: "gateway.networking.k8s.io", name: "g" }],
    },
    ["error spec: only one of selector, targetRefs may be set"],
  ],
  [
    { url, selector: { matchLabels: { a: "*" } } },
    ['error selector.matchLabels.a: "*" has no meaning here: labels are compared as they are'],
  ],
];
test.each(judged)("judges %j", (spec, expected) => expect(said(spec)).toEqual(expected));

test.each([
  ["oci://private-registry:5000/openid-connect/openid:latest", "oci"],
  ["ghcr.io/org/filter:1.0", "http"],
  ["localhost:5000/filter", "localhost"],
  ["HTTPS://a.example/x.wasm?y=%zz", "https"],
  ["file:///opt/filter.wasm", "file"],
  ["/opt/filter.wasm", ""],
  ["oci://user:pass@a.example/b", "oci"],
  ["oci://[::1]:5000/b", "oci"],
  ["oci://a.example:port/b", "http"],
  ["a b", undefined],
  ["https://a/%zz", undefined],
  ["a.example/b#%zz", undefined],
  ["a\nb", undefined],
  ["%zz", undefined],
])("the scheme of %j", (address, scheme) => {
  expect(parseModuleScheme(address)).toBe(scheme);
});
